"""Reading a log file while a process writes it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kvsim.logs.follower import PIECE_BYTES, READ_BYTES_MAX, Follower
from kvsim.logs.log_file import LogFile, LogLine


@pytest.fixture
def log(tmp_path: Path) -> LogFile:
    return LogFile(tmp_path / "1.log")


def add(log: LogFile, data: bytes) -> None:
    with log.path.open("ab") as file:
        file.write(data)


def test_a_file_that_does_not_exist_yet(log) -> None:
    assert log.size() == 0
    assert log.search("ready") is None
    assert log.last(3) == []
    assert list(log.lines()) == []
    add(log, b"ready\n")
    assert log.search("ready") == LogLine(0, 1, "ready")


def test_a_search_reads_every_byte_once(log, monkeypatch) -> None:
    got: list[int] = []
    real = Follower._next
    monkeypatch.setattr(
        Follower,
        "_next",
        lambda self, *arguments: got.append(len(data := real(self, *arguments))) or data,
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


def test_a_last_line_without_a_line_end_is_listed(log) -> None:
    add(log, b"x\npanic: out of")
    assert [line.text for line in log.lines()] == ["x", "panic: out of"]


@pytest.mark.slow
def test_a_call_reads_a_bounded_amount(log) -> None:
    add(log, b"noise\n" * (READ_BYTES_MAX // 4) + b"ready\n")
    assert log.search("ready") is None
    assert log.search("ready").number == READ_BYTES_MAX // 4 + 1


def test_a_truncated_file_is_read_from_its_start(log) -> None:
    add(log, b"a long first line\n")
    assert log.search("second") is None
    log.path.write_bytes(b"second\n")
    assert log.search("second") == LogLine(0, 1, "second")


def test_a_file_that_shrinks_while_its_lines_are_read(log) -> None:
    add(log, b"x" * 99 + b"\n" + b"y\n" * 300_000)
    lines = log.lines()
    assert next(lines).number == 1
    log.path.write_bytes(b"short\n")
    # The loop ends.
    assert len(list(lines)) < 300_001


def test_a_line_of_megabytes_is_shown_cut_and_searched_whole(log) -> None:
    add(log, b"A" * PIECE_BYTES + b"ready" + b"B" * (2 * PIECE_BYTES) + b"\nnext\n")
    first, second = log.lines()
    assert first.text.endswith("[line cut at 65536 bytes]")
    assert second == LogLine(3 * PIECE_BYTES + len("ready\n"), 2, "next")
    assert "AreadyB" in log.search("ready").text
    add(log, b"C" * (PIECE_BYTES + 9) + b"never ended")
    # Some calls read it, and one more finds that it stays.
    found = next(filter(None, (log.search("never ended") for _ in range(9))))
    assert found.text.endswith("Cnever ended")


def test_colours_and_foreign_bytes_do_not_hide_a_line(log) -> None:
    add(log, b"\xfe\x80\x00\n\x1b[32mready\x1b[0m to serve\n")
    assert log.search("^ready to serve$") == LogLine(4, 2, "ready to serve")


def test_last_lines(log) -> None:
    add(log, b"one\ntwo\n\nthree")
    assert log.last(2) == ["", "three"]
    assert log.last(9) == ["one", "two", "", "three"]
    assert log.last(0) == []


def test_last_lines_of_a_large_file_are_read_from_its_end_only(log) -> None:
    with log.path.open("wb") as file:
        # Ten gigabytes, sparse.
        file.truncate(10**10)
    add(log, b"\nlast\n")
    assert log.last(1) == ["last"]


def test_a_limit_on_what_is_listed(log) -> None:
    add(log, b"one\ntwo\nthree\n")
    assert [line.text for line in log.lines(bytes_max=8)] == ["one", "two"]


def test_patterns_may_be_compiled_and_bad_patterns_raise(log) -> None:
    add(log, b"Ready\n")
    assert log.search(re.compile("ready", re.IGNORECASE)).text == "Ready"
    with pytest.raises(re.error):
        log.search("(")
