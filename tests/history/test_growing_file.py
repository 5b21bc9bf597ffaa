"""A history that grows on disk: whatever cuts it short, what is read is a part that happened."""

from __future__ import annotations

import tempfile
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.history.binary_file import HistoryFileError, load, parse
from kvsim.history.growing_file import GrowingFile
from kvsim.history.operations import NEVER, OK, UNKNOWN, Operations
from kvsim.workload.recorder import Recorder

PUT = 0


def grown(blocks: list[int], folder: Path) -> tuple[bytes, Operations]:
    """The bytes of a file with so many operations in each block, and all that was recorded.

    One more operation is under way at the end of each block.
    """
    file = GrowingFile(folder / "w.history.growing", ["n1"], ["a", "b"])
    recorder, time_ns = Recorder(("n1",), ("a", "b"), 1000, file), 0
    for count in blocks:
        for _ in range(count):
            time_ns += 10
            recorder.add(time_ns, time_ns + 5, 1000, 0, time_ns % 2, PUT, f"v{time_ns}", OK)
        recorder.flush([(time_ns + 1, 1001, 0, 0, PUT, f"v{time_ns + 10}", None)])
    file.close()
    return (folder / "w.history.growing").read_bytes(), recorder.operations


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.data())
def test_a_file_that_is_cut_anywhere_gives_its_whole_blocks(blocks, data):
    with tempfile.TemporaryDirectory() as folder:
        content, whole = grown(blocks, Path(folder))
    header = content.index(b"}") + 1
    cut = data.draw(st.integers(header, len(content)))
    found = parse(content[:cut], "w").operations
    completed = [row for row in range(len(found)) if found.outcome[row] == OK]
    sums = [sum(blocks[:count]) for count in range(len(blocks) + 1)]
    assert len(completed) in sums
    assert [found.call_ns[row] for row in completed] == list(whole.call_ns[: len(completed)])
    unknown = [row for row in range(len(found)) if found.outcome[row] == UNKNOWN]
    assert len(unknown) == (1 if len(content[:cut]) > header and _has_block(content, cut) else 0)
    assert all(found.return_ns[row] == NEVER for row in unknown)


def _has_block(content: bytes, cut: int) -> bool:
    """Whether the first block is whole."""
    start = content.index(b"}") + 1
    sizes = array("I", content[start : start + 12])
    return cut >= start + 16 + sum(sizes)


def test_the_writer_reads_back_what_it_moved_to_the_file(tmp_path):
    _, whole = grown([3, 0, 2], tmp_path)
    assert len(whole) == 5 and whole.values[whole.value[4]] == "v50"
    again = load(tmp_path / "w.history.growing").operations
    values = [again.values[number] for number in again.value]
    assert values[:5] == [f"v{number}" for number in range(10, 60, 10)]


DAMAGED = [b"KVSIMGRO", b"KVSIMGRO\xff\xff\xff\xff", b"KVSIMGRO\2\0\0\0{}"]


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_header_is_named(content):
    with pytest.raises(HistoryFileError, match="damaged header"):
        parse(content, "w")


def test_a_growing_file_of_another_format_is_one_line(tmp_path):
    content, _ = grown([2], tmp_path)
    with pytest.raises(HistoryFileError) as raised:
        parse(content.replace(b'"format": 1', b'"format": 7'), "w.history")
    assert str(raised.value).startswith("w.history: is the history of a load, of format 7, written")
