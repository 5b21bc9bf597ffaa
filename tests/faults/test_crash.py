"""Damage to the end of a file: as much as was said, at the end of what was written, and nowhere else."""

from __future__ import annotations

import os
import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kvsim.faults.crash import damage, newest

CONTENT = st.binary(min_size=1, max_size=200).map(
    lambda data: data + b"\x01"
)  # the last byte written is no zero


def file_of(folder: Path, content: bytes) -> Path:
    path = folder / "log"
    path.write_bytes(content)
    return path


@given(CONTENT, st.integers(1, 300), st.integers(0, 50))
def test_a_cut_takes_bytes_off_the_end_of_what_was_written(tmp_path_factory, content, size, zeros):
    path = file_of(tmp_path_factory.mktemp("d"), content + bytes(zeros))
    before, after = damage(path, "cut", size, random.Random(1))
    kept = max(0, len(content) - size)
    assert (before, after) == (len(content), kept)
    left = path.read_bytes()
    assert left[:kept] == content[:kept] and not any(left[kept:])
    assert len(left) == (kept if zeros == 0 else len(content) + zeros)


@given(CONTENT, st.integers(1, 300))
def test_garbling_changes_each_of_the_last_bytes_and_no_other(tmp_path_factory, content, size):
    path = file_of(tmp_path_factory.mktemp("d"), content)
    damage(path, "garble", size, random.Random(1))
    left, start = path.read_bytes(), max(0, len(content) - size)
    assert left[:start] == content[:start] and len(left) == len(content)
    assert all(one != other for one, other in zip(left[start:], content[start:], strict=True))


def test_one_seed_garbles_alike(tmp_path):
    results = []
    for _ in range(2):
        path = file_of(tmp_path, b"what was written")
        damage(path, "garble", 5, random.Random("seed"))
        results.append(path.read_bytes())
    assert results[0] == results[1]


def test_the_file_written_last_is_taken(tmp_path):
    for age, name in enumerate(["new.log", "old.log", "other.txt"]):
        path = tmp_path / "inner" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, (1000 - age, 1000 - age))
    assert newest(tmp_path, "*.log") == tmp_path / "inner" / "new.log"
    assert newest(tmp_path, "*.wal") is None
