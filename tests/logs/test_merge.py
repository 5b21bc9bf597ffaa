"""Several logs as one stream."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from kvsim.logs.merge import Arrival, dump, follow


def test_without_arrivals_lines_are_listed_node_by_node(tmp_path: Path) -> None:
    files = [("n1", tmp_path / "a"), ("n2", tmp_path / "b"), ("n3", tmp_path / "missing")]
    files[0][1].write_text("a1\na2\n")
    files[1][1].write_text("b1\n")
    assert list(dump(files)) == [("n1", "a1"), ("n1", "a2"), ("n2", "b1")]


def test_lines_are_in_the_order_of_their_arrivals(tmp_path: Path) -> None:
    files = [("n1", tmp_path / "a"), ("n2", tmp_path / "b")]
    first, second = files[0][1], files[1][1]
    first.write_text("a1\na2\na3\n")
    second.write_text("b1\nb2\n")
    arrivals = [Arrival(3.0, first, 6), Arrival(1.0, first, 3), Arrival(2.0, second, 6)]
    assert [text for _, text in dump(files, arrivals)] == ["a1", "b1", "b2", "a2", "a3"]


def rounds(*actions: Callable[[], object]) -> Callable[[float], bool]:
    """A `wait` that does the next action at each call; it returns whether none is left."""
    todo = list(actions)

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


def test_following_begins_at_the_end_of_a_file_and_at_the_start_of_a_new_file(
    tmp_path: Path,
) -> None:
    files = [("n1", tmp_path / "1.log")]
    files[0][1].write_text("old\n")

    def restart() -> None:
        files.append(("n1", tmp_path / "2.log"))
        files[1][1].write_text("second start\n")

    wait = rounds(write(files[0][1], "new\nhal"), write(files[0][1], "f\n"), restart)
    assert list(follow(lambda: files, wait)) == [
        ("n1", "new"),
        ("n1", "half"),
        ("n1", "second start"),
    ]


def test_following_from_the_start_up_to_a_line_without_end(tmp_path: Path) -> None:
    log = tmp_path / "1.log"
    log.write_text("old\n")
    wait = rounds(write(log, "new\n"), write(log, "half"))
    assert list(follow(lambda: [("n1", log)], wait, from_start=True)) == [
        ("n1", "old"),
        ("n1", "new"),
        ("n1", "half"),
    ]


def test_following_ends_when_the_cluster_is_down_with_the_last_lines_of_removed_logs(
    tmp_path: Path,
) -> None:
    first, second = tmp_path / "1.log", tmp_path / "2.log"
    first.write_text("one\n")
    found: list[list[tuple[str, Path]] | None] = [
        [("n1", first)],
        [("n1", first), ("n2", second)],
        None,
    ]

    def down() -> None:
        with second.open("a") as file:
            file.write("stopping\n")
        for path in (first, second):
            path.unlink()

    second.write_text("two\n")
    wait = rounds(lambda: None, down, lambda: None, lambda: None)
    lines = list(follow(lambda: found.pop(0), wait, from_start=True))
    assert lines == [("n1", "one"), ("n2", "two"), ("n2", "stopping")]
