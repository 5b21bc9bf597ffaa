"""The follower reads each line once, whatever happens to the file, and in any encoding."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsim.logs.file_marks import mark_files
from kvsim.logs.follower import Follower
from kvsim.logs.log_file import LogFile, LogLine


def texts(follower: Follower) -> list[str]:
    return [line.data.decode() for line in follower.read()]


def expected(text: str) -> list[str]:
    """Its complete lines: a line feed ends one, and a return, as of a progress bar."""
    return re.split(r"\r*\n|\r+", text)[:-1]


LETTERS = st.text(st.sampled_from("ab\r\n\u010a\u20ac "), max_size=9)


@settings(max_examples=80, deadline=None)
@given(
    pieces=st.lists(LETTERS, max_size=8),
    encoding=st.sampled_from(["utf-8", "utf-16-le", "utf-16-be"]),
    bytes_max=st.sampled_from([2, 3, 4, 7, 1000]),
)
def test_lines_do_not_depend_on_how_the_file_is_written(
    tmp_path_factory, pieces: list[str], encoding: str, bytes_max: int
) -> None:
    path = tmp_path_factory.mktemp("logs") / "log"
    follower, lines = Follower(path), []
    pieces = ["\ufeff" * (encoding != "utf-8") + "log: ", *pieces]
    for piece in pieces:
        with path.open("ab") as file:
            file.write(piece.encode(encoding))
        lines += follower.read(bytes_max)
    size = path.stat().st_size
    while follower.offset < size:
        lines += follower.read(bytes_max)
    whole = "".join(pieces).removeprefix("\ufeff")
    assert [line.data.decode() for line in lines] == expected(whole)
    data = path.read_bytes()
    for line in lines:
        before = data[: line.offset].decode(encoding)
        assert line.number == 1 + before.count("\n")


@given(
    old=st.lists(st.sampled_from(["a", "bb", "ccc"]), min_size=1, max_size=4),
    new=st.lists(st.sampled_from(["x", "yy", "zzz", "wwwwwwwww"]), min_size=1, max_size=6),
)
@settings(max_examples=40, deadline=None)
def test_a_file_that_is_truncated_to_any_length_is_read_from_its_start(
    tmp_path_factory, old: list[str], new: list[str]
) -> None:
    path = tmp_path_factory.mktemp("logs") / "log"
    path.write_text("".join(f"{line}\n" for line in old))
    follower = Follower(path)
    assert texts(follower) == old
    path.write_text("".join(f"{line}\n" for line in new))
    assert texts(follower) == new


def test_the_rest_of_a_file_that_is_replaced_is_read_first(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    path.write_text("one\n")
    follower = Follower(path, keeps_open=True)
    assert texts(follower) == ["one"]
    with path.open("a") as file:
        file.write("two\nlast, without end")
        path.rename(tmp_path / "server.log.1")
        path.write_text("new, and longer than the old one\n")
    lines = texts(follower) + texts(follower)
    follower.close()
    assert lines == ["two", "last, without end", "new, and longer than the old one"]


def test_progress_is_a_line_for_each_return(tmp_path: Path) -> None:
    log = LogFile(tmp_path / "log")
    log.path.write_bytes(b"loading\n10 %\r90 %\r100 %\rready\r\nserving\r\n")
    assert log.search("^ready$") == LogLine(log.path.read_bytes().index(b"ready"), 2, "ready")
    assert [line.number for line in log.lines()] == [1, 2, 2, 2, 2, 3]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_a_log_in_utf_16(tmp_path: Path, encoding: str) -> None:
    log = LogFile(tmp_path / "log")
    log.path.write_bytes("starting\r\nready to serve\r\n".encode(encoding))
    assert log.search("^ready to serve$").number == 2
    assert log.last(1) == ["ready to serve"]


def test_a_pipe_is_no_log(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    log = LogFile(tmp_path / "log")
    assert log.search("x") is None and log.last(3) == [] and list(log.lines()) == []


# --- what an earlier start wrote ----------------------------------------------------------------

OLD = "padding " * 20 + "\nready to serve\n"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "server.log"
    path.write_text(OLD)
    return path


def ready(path: Path, marks) -> LogLine | None:
    return LogFile(path, marks).search("^ready")


def test_an_old_line_does_not_count_after_an_append(old: Path) -> None:
    log = LogFile(old, mark_files(old.parent))
    assert log.search("^ready") is None and log.last(5) == []
    with old.open("a") as file:
        file.write("starting\nready again\n")
    assert log.search("^ready") == LogLine(len(OLD) + len("starting\n"), 4, "ready again")
    assert log.last(5) == ["starting", "ready again"]


def test_a_file_that_is_written_again_to_the_same_length_counts(old: Path) -> None:
    log = LogFile(old, mark_files(old.parent))
    assert log.search("^ready") is None
    old.write_text(OLD)
    assert log.search("^ready") == LogLine(161, 2, "ready to serve")
    assert ready(old, log.marks) is not None


def test_a_file_that_is_only_touched_does_not_count(old: Path) -> None:
    marks = mark_files(old.parent)
    old.touch()
    assert ready(old, marks) is None


@pytest.mark.parametrize("text", ["ready\n", "x" * 999 + "\nready\n"])
def test_a_file_that_is_truncated_and_written_counts(old: Path, text: str) -> None:
    marks = mark_files(old.parent)
    old.write_text(text)
    assert ready(old, marks) is not None


def test_an_old_file_under_a_new_name_does_not_count(old: Path) -> None:
    marks = mark_files(old.parent)
    renamed = old.rename(old.with_name("server.log.1"))
    old.write_text(OLD)
    assert ready(renamed, marks) is None
    assert ready(old, marks) is not None


def test_a_link_to_an_old_file_does_not_count(old: Path) -> None:
    marks = mark_files(old.parent)
    link = old.with_name("current.log")
    link.symlink_to(old)
    assert ready(link, marks) is None
