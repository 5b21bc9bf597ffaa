"""Watching one log file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvsim.logs.cursor import LINE_MAX, Cursor
from kvsim.logs.tail import LogFile, LogLine
from kvsim.waiting import Deadline


@pytest.fixture
def log(tmp_path: Path) -> LogFile:
    return LogFile(tmp_path / "1.log")


def add(log: LogFile, data: bytes) -> None:
    with log.path.open("ab") as file:
        file.write(data)


def test_a_file_that_is_not_there_yet(log) -> None:
    assert log.mark() == 0
    assert log.search("ready") is None
    assert log.last(3) == []
    assert list(log.lines()) == []
    add(log, b"ready\n")
    assert log.search("ready") == LogLine(0, 1, "ready")


def test_the_mark_hides_what_an_earlier_start_wrote(log) -> None:
    add(log, b"ready to serve\nbye\n")
    mark = log.mark()
    assert log.search("ready", mark) is None
    add(log, b"starting\nready again\n")
    assert log.search("ready", mark) == LogLine(mark + len(b"starting\n"), 4, "ready again")
    assert log.search("ready") == LogLine(0, 1, "ready to serve")


def test_every_byte_is_read_once_for_one_question(log, monkeypatch) -> None:
    from kvsim.logs import cursor

    got: list[int] = []
    real = cursor.os.read
    monkeypatch.setattr(
        cursor.os, "read", lambda handle, size: got.append(len(data := real(handle, size))) or data
    )
    for number in range(50):
        add(log, b"line %d of many\n" % number)
        assert log.search("ready") is None
        assert log.search("ready") is None
    assert sum(got) == log.path.stat().st_size


def test_a_line_that_comes_in_pieces(log) -> None:
    add(log, b"listening on po")
    assert log.search("port 9001$") is None
    add(log, b"rt 900")
    assert log.search("port 9001$") is None
    add(log, b"1\n")
    assert log.search("port 9001$") == LogLine(0, 1, "listening on port 9001")


def test_a_prompt_without_a_line_end_counts_when_it_stays(log) -> None:
    add(log, b"kv> ")
    assert log.search("^kv> $") is None
    assert log.search("^kv> $") == LogLine(0, 1, "kv> ")


def test_last_words_without_a_line_end(log) -> None:
    add(log, b"x\npanic: out of")
    assert log.final_search("panic", deadline=Deadline.after(5)) == LogLine(2, 2, "panic: out of")
    assert log.final_search("absent", deadline=Deadline.after(5)) is None
    assert [line.text for line in log.lines()] == ["x", "panic: out of"]


def test_the_final_search_reads_past_any_budget(log) -> None:
    add(log, b"noise\n" * 2_000_000 + b"ready\n")
    assert log.search("ready") is None  # one look reads only so much
    assert log.final_search("ready", deadline=Deadline.after(30)) == LogLine(12_000_000, 2_000_001, "ready")


def test_a_truncated_file_is_read_from_its_start(log) -> None:
    add(log, b"a long first line\n")
    assert log.search("second") is None
    log.path.write_bytes(b"second\n")
    assert log.search("second") == LogLine(0, 1, "second")


def test_a_replaced_file_is_read_from_its_start(log, tmp_path) -> None:
    add(log, b"old\n")
    cursor = Cursor(log.path)
    assert cursor.read() == [(0, b"old")]
    log.path.rename(tmp_path / "1.log.1")
    add(log, b"new, and longer\n")
    assert cursor.read() == [(0, b"new, and longer")]
    assert cursor.restarts == 1


def test_a_file_that_shrinks_while_its_lines_are_read(log) -> None:
    add(log, b"x" * 99 + b"\n" + b"y\n" * 300_000)
    lines = log.lines()
    assert next(lines).number == 1
    log.path.write_bytes(b"short\n")
    assert len(list(lines)) < 300_001  # it ends


def test_a_line_without_end_is_cut_and_says_so(log) -> None:
    add(log, b"A" * (5 * LINE_MAX))
    cursor = Cursor(log.path)
    assert cursor.read() == []
    assert len(cursor.partial()[1]) == LINE_MAX
    add(log, b"\nready\n")
    first, second = log.lines()
    assert first.text.endswith("[line cut at 65536 bytes]")
    assert second == LogLine(5 * LINE_MAX + 1, 2, "ready")


def test_colours_and_foreign_bytes_do_not_hide_a_line(log) -> None:
    add(log, b"\xff\xfe\x00\n\x1b[32mready\x1b[0m to serve\n")
    assert log.search("^ready to serve$") == LogLine(4, 2, "ready to serve")


def test_last_lines(log) -> None:
    add(log, b"one\ntwo\n\nthree")
    assert log.last(2) == ["", "three"]
    assert log.last(9) == ["one", "two", "", "three"]
    assert log.last(0) == []


def test_last_lines_of_a_flood_look_at_the_end_only(log) -> None:
    with log.path.open("wb") as file:
        file.truncate(10**10)  # ten gigabytes of nothing, sparse
    add(log, b"\nlast\n")
    assert log.last(1) == ["last"]


def test_a_limit_on_what_is_listed(log) -> None:
    add(log, b"one\ntwo\nthree\n")
    assert [line.text for line in log.lines(limit_bytes=8)] == ["one", "two"]
    assert [(line.number, line.text) for line in log.lines(4)] == [(2, "two"), (3, "three")]


def test_patterns_may_be_compiled_and_bad_ones_are_told(log) -> None:
    add(log, b"Ready\n")
    assert log.search(re.compile("ready", re.IGNORECASE)).text == "Ready"
    with pytest.raises(re.error):
        log.search("(")


pieces = st.lists(
    st.binary(min_size=1, max_size=12).map(lambda data: data.replace(b"\r", b"\n")), max_size=12
)


@settings(max_examples=60, deadline=None)
@given(pieces=pieces, budget=st.integers(1, 7))
def test_however_it_is_written_the_lines_are_the_same(
    tmp_path_factory, pieces: list[bytes], budget: int
) -> None:
    path = tmp_path_factory.mktemp("logs") / "log"
    path.touch()
    cursor, lines, written = Cursor(path), [], b""
    for piece in pieces:
        with path.open("ab") as file:
            file.write(piece)
        written += piece
        lines += cursor.read(budget)
    while found := cursor.read(budget) or cursor.offset < len(written):
        lines += found if isinstance(found, list) else []
    *whole, rest = written.split(b"\n")
    assert [raw for _, raw in lines] == whole
    assert all(written[offset : offset + len(raw)] == raw for offset, raw in lines)
    assert (cursor.partial() or (0, b""))[1] == rest
