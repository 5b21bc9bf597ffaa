"""Damage to the end of a file: at most the given bytes, at the end of the content, nowhere else."""

from __future__ import annotations

import os
import random
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kvsim.data_directory import open_file
from kvsim.faults import crash
from kvsim.faults.crash import newest

# The last byte of the content is not zero.
CONTENT = st.binary(min_size=1, max_size=200).map(lambda data: data + b"\x01")


def damage(path: Path, how: str, size: int, rng: random.Random) -> tuple[int, int]:
    with open_file(path.parent, path.name) as descriptor:
        return crash.damage(descriptor, how, size, rng)


def file_of(folder: Path, content: bytes) -> Path:
    path = folder / "log"
    path.write_bytes(content)
    return path


@given(CONTENT, st.integers(1, 300), st.integers(0, 50))
def test_a_cut_removes_bytes_at_the_end_of_the_content(tmp_path_factory, content, size, zeros):
    path = file_of(tmp_path_factory.mktemp("d"), content + bytes(zeros))
    before, after = damage(path, "cut", size, random.Random(1))
    end = max(0, len(content) - size)
    assert (before, after) == (len(content), end)
    damaged = path.read_bytes()
    assert damaged[:end] == content[:end] and not any(damaged[end:])
    assert len(damaged) == (end if zeros == 0 else len(content) + zeros)


@given(CONTENT, st.integers(1, 300))
def test_corruption_changes_each_of_the_last_bytes_and_no_other(tmp_path_factory, content, size):
    path = file_of(tmp_path_factory.mktemp("d"), content)
    damage(path, "corrupt", size, random.Random(1))
    damaged, start = path.read_bytes(), max(0, len(content) - size)
    assert damaged[:start] == content[:start] and len(damaged) == len(content)
    assert all(new != old for new, old in zip(damaged[start:], content[start:], strict=True))


def test_the_same_seed_corrupts_the_same_bytes(tmp_path):
    results = []
    for _ in range(2):
        path = file_of(tmp_path, b"what was written")
        damage(path, "corrupt", 5, random.Random("seed"))
        results.append(path.read_bytes())
    assert results[0] == results[1]


def test_the_file_written_last_is_damaged(tmp_path):
    for age, name in enumerate(["new.log", "old.log", "other.txt"]):
        path = tmp_path / "inner" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        os.utime(path, (1000 - age, 1000 - age))
    assert newest(tmp_path, "*.log") == tmp_path / "inner" / "new.log"
    assert newest(tmp_path, "*.wal") is None


def test_a_file_that_a_link_leads_to_outside_is_none_of_them(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "mine.log").write_bytes(b"precious")
    (data / "new.log").symlink_to("../mine.log")
    assert newest(data, "*.log") is None
    (data / "real").write_bytes(b"x")
    (data / "current.log").symlink_to("real")
    assert newest(data, "*.log") == data / "current.log"
