"""Several logs as one stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kvsim.logs.merge import Arrival, dump, follow


def test_without_arrivals_node_by_node(tmp_path: Path) -> None:
    files = {"n1": tmp_path / "a", "n2": tmp_path / "b", "n3": tmp_path / "missing"}
    files["n1"].write_text("a1\na2\n")
    files["n2"].write_text("b1\n")
    assert list(dump(files)) == [("n1", "a1"), ("n1", "a2"), ("n2", "b1")]


def test_in_the_order_of_arrival_as_far_as_known(tmp_path: Path) -> None:
    files = {"n1": tmp_path / "a", "n2": tmp_path / "b"}
    files["n1"].write_text("a1\na2\na3\n")
    files["n2"].write_text("b1\nb2\n")
    arrivals = [Arrival(3.0, "n1", 6), Arrival(1.0, "n1", 3), Arrival(2.0, "n2", 6)]
    assert [text for _, text in dump(files, arrivals)] == ["a1", "b1", "b2", "a2", "a3"]


def rounds(*doings: Callable[[], object]) -> Callable[[float], bool]:
    """A `wait` that does one thing in each round and then ends."""
    todo = list(doings)

    def wait(seconds: float) -> bool:
        if todo:
            todo.pop(0)()
        return not todo

    return wait


def write(path: Path, text: str) -> Callable[[], object]:
    def append() -> None:
        with path.open("a") as file:
            file.write(text)

    return append


def test_following_begins_now_and_takes_in_new_files(tmp_path: Path) -> None:
    files = {"n1": tmp_path / "1.log"}
    files["n1"].write_text("old\n")

    def restart() -> None:
        files["n1"] = tmp_path / "2.log"
        files["n1"].write_text("second start\n")

    wait = rounds(write(files["n1"], "new\nhal"), write(files["n1"], "f\n"), restart)
    assert list(follow(lambda: files, wait)) == [("n1", "new"), ("n1", "half"), ("n1", "second start")]


def test_following_from_the_start(tmp_path: Path) -> None:
    log = tmp_path / "1.log"
    log.write_text("old\n")
    assert list(follow(lambda: {"n1": log}, rounds(write(log, "new\n")), from_start=True)) == [
        ("n1", "old"),
        ("n1", "new"),
    ]
