"""Histories on disk: they read back equal, and any damage is an error that names the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.errors import UsageError
from kvsim.history import binary_file
from kvsim.history.binary_file import HistoryFileError
from kvsim.history.formats import kvsim_jsonl
from kvsim.history.history import FaultSpan, FaultTraits, FinalRead, History, RoleSample
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
        returned = None if outcome == "unknown" and length % 2 else call + length
        operations.add(
            call, returned, process, key, kind, value, expected=expected, outcome=outcome, node=node
        )
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
    [
        (1, 2, 0, "k", "put", "v", None, "ok", "n1"),
        (4, 1, 1, "k", "get", None, None, "unknown", None),
    ]
)


def saved(path: Path) -> bytes:
    binary_file.save(SAMPLE, path)
    return path.read_bytes()


@given(st.lists(ROWS, max_size=6))
def test_a_history_reads_back_equal(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple]
) -> None:
    path = tmp_path_factory.mktemp("history") / "h.bin"
    binary_file.save(whole(rows), path)
    assert content(binary_file.load(path)) == content(whole(rows))


def test_saving_leaves_only_the_file(tmp_path: Path) -> None:
    saved(tmp_path / "h.bin")
    assert [path.name for path in tmp_path.iterdir()] == ["h.bin"]


def test_every_truncation_is_found(tmp_path: Path) -> None:
    data = saved(tmp_path / "h.bin")
    for length in range(len(data)):
        with pytest.raises(HistoryFileError, match=r"^h\.bin: "):
            binary_file.parse(data[:length], "h.bin")


def test_a_changed_byte_never_changes_the_columns(tmp_path: Path) -> None:
    """The header has no checksum; the columns have one and never change unnoticed."""
    data = saved(tmp_path / "h.bin")
    truth = binary_file.parse(data, "h.bin").operations
    for index in range(len(data)):
        changed = data[:index] + bytes([data[index] ^ 0x41]) + data[index + 1 :]
        try:
            read = binary_file.parse(changed, "h.bin").operations
        except HistoryFileError:
            continue
        assert (
            read.call_ns == truth.call_ns
            and read.outcome == truth.outcome
            and read.value == truth.value
        )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not a kvsim history"),
        (b"KVSIMHST\x09\0\0\0\0\0\0\0", "version 9"),
        (b"{}" * 20, "is not a kvsim"),
    ],
)
def test_other_files_are_reported(data: bytes, message: str) -> None:
    with pytest.raises(HistoryFileError, match=message):
        binary_file.parse(data, "x.bin")


def test_a_file_of_version_1_is_read(tmp_path: Path) -> None:
    """It calls a term an epoch, and its faults have no traits."""
    faults = (
        FaultSpan("kill", ("n1",), 1, 2, FaultTraits(ends_nodes="always")),
        FaultSpan("delay", ("n1", "n2"), 3, 4),
    )
    history = History(Operations(), samples=(RoleSample(1, "n1", "leader", "3"),), faults=faults)
    binary_file.save(history, tmp_path / "new")
    data = (tmp_path / "new").read_bytes()
    _, _, size = binary_file.PREFIX.unpack(data[: binary_file.PREFIX.size])
    header = json.loads(data[binary_file.PREFIX.size :][:size])
    header["samples"][0]["epoch"] = header["samples"][0].pop("term")
    for fault in header["faults"]:
        del fault["traits"]
    text = json.dumps(header).encode()
    old = binary_file.PREFIX.pack(binary_file.MAGIC, 1, len(text)) + text
    read = binary_file.parse(old, "old")
    assert (read.samples, read.faults) == (history.samples, history.faults)


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.bin: cannot be read: No such file"):
        binary_file.load(tmp_path / "gone.bin")


@given(st.lists(ROWS, max_size=6))
def test_the_export_reads_back(rows: list[tuple]) -> None:
    history = whole(rows)
    lines = list(kvsim_jsonl.write(history))
    assert all(isinstance(json.loads(line), dict) and "\n" not in line for line in lines)
    again = kvsim_jsonl.read([line + "\n" for line in lines], "h.jsonl")
    assert content(again) == content(history)
