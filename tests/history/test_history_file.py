"""Histories on disk: everything comes back, and damage of any kind is an error that names the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.errors import UsageError
from kvsim.history import formats, history_file
from kvsim.history.history import FaultSpan, FinalRead, History, RoleSample
from kvsim.history.history_file import HistoryFileError
from kvsim.history.operations import KINDS, OUTCOMES, Operations

TEXT = st.text(max_size=8)
ROWS = st.tuples(
    st.integers(0, 1 << 60),
    st.integers(0, 1 << 60),
    st.integers(-5, 1 << 40),
    TEXT,
    st.sampled_from(KINDS),
    st.none() | TEXT,
    st.none() | TEXT,
    st.sampled_from(OUTCOMES),
    st.none() | TEXT,
)


def whole(rows: list[tuple]) -> History:
    operations = Operations()
    for call, length, process, key, kind, value, expected, outcome, node in rows:
        back = None if outcome == "unknown" and length % 2 else call + length
        operations.add(call, back, process, key, kind, value, expected=expected, outcome=outcome, node=node)
    return History(
        operations,
        samples=(RoleSample(5, "n1", "leader", 3, 17, 4), RoleSample(6, "n2", "follower")),
        faults=(FaultSpan("cut", ("n1", "n2"), 7, 9),),
        finals=(FinalRead("n1", "k", None, 99), FinalRead("n2", "k", "v")),
        leader_log=(("k", "v"), ("k", None)),
        initial={"k": "ü"},
    )


def content(history: History) -> tuple:
    return (
        list(history.operations),
        history.samples,
        history.faults,
        history.finals,
        history.leader_log,
        dict(history.initial),
    )


SAMPLE = whole(
    [(1, 2, 0, "k", "put", "v", None, "ok", "n1"), (4, 1, 1, "k", "get", None, None, "unknown", None)]
)


def saved(path: Path) -> bytes:
    history_file.save(SAMPLE, path)
    return path.read_bytes()


@given(st.lists(ROWS, max_size=6))
def test_everything_comes_back(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple]) -> None:
    path = tmp_path_factory.mktemp("history") / "h.bin"
    history_file.save(whole(rows), path)
    assert content(history_file.load(path)) == content(whole(rows))


def test_nothing_but_the_file_is_left(tmp_path: Path) -> None:
    saved(tmp_path / "h.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["h.bin"]


def test_every_truncation_is_found(tmp_path: Path) -> None:
    data = saved(tmp_path / "h.bin")
    for length in range(len(data)):
        with pytest.raises(HistoryFileError, match=r"^h\.bin: "):
            history_file.parse(data[:length], "h.bin")


def test_every_flipped_byte_is_found_or_harmless(tmp_path: Path) -> None:
    """Only names and what stands beside the operations are without a checksum; columns never change unseen."""
    data = saved(tmp_path / "h.bin")
    truth = history_file.parse(data, "h.bin").operations
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :]
        try:
            read = history_file.parse(changed, "h.bin").operations
        except HistoryFileError:
            continue
        assert read.call_ns == truth.call_ns and read.outcome == truth.outcome and read.value == truth.value


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is not a kvsim history"),
        (b"KVSIMHST\x02\0\0\0\0\0\0\0", "version 2"),
        (b"{}" * 20, "is not a kvsim"),
    ],
)
def test_foreign_files_are_named(data: bytes, said: str) -> None:
    with pytest.raises(HistoryFileError, match=said):
        history_file.parse(data, "x.bin")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.bin: cannot be read: No such file"):
        history_file.load(tmp_path / "gone.bin")


@given(st.lists(ROWS, max_size=6))
def test_the_export_reads_back(rows: list[tuple]) -> None:
    history = whole(rows)
    lines = list(history_file.json_lines(history))
    assert all(isinstance(json.loads(line), dict) and "\n" not in line for line in lines)
    text = "".join(line + "\n" for line in lines)
    assert list(formats.FORMATS["kvsim-jsonl"](text, "h.jsonl")) == list(history.operations)
