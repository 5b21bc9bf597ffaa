"""Paths are found as `Path.glob` finds them, and what vanishes meanwhile is left out."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.folders import find_files, find_paths, stat_files

NAMES = st.sampled_from(["a", "b", ".c", "a.log", "b.log"])
PATTERNS = st.lists(
    st.sampled_from(["*", "**", "a", "?", "*.log", "[ab]", ".c"]), min_size=1, max_size=4
).map("/".join)


@given(files=st.sets(st.lists(NAMES, min_size=1, max_size=4).map(tuple)), pattern=PATTERNS)
def test_a_folder_at_rest_is_walked_as_by_pathlib(
    tmp_path_factory: pytest.TempPathFactory, files: set[tuple[str, ...]], pattern: str
) -> None:
    top = tmp_path_factory.mktemp("top")
    for names in sorted(files):
        path = top.joinpath(*names)
        if all(not parent.is_file() for parent in path.parents) and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    # A pattern that ends in `**` finds folders only, in pathlib before 3.13.
    if not pattern.endswith("**"):
        assert find_paths(top, pattern) == sorted(set(top.glob(pattern)))
    shutil.rmtree(top)


def test_a_folder_that_is_not_there_has_nothing(tmp_path: Path) -> None:
    assert find_paths(tmp_path / "none", "**/*") == []
    (tmp_path / "file").touch()
    assert find_paths(tmp_path / "file", "*") == []


def test_a_loop_of_links_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d/loop").symlink_to(tmp_path)
    (tmp_path / "d/file").touch()
    assert find_files(tmp_path) == [tmp_path / "d/file"]


@pytest.fixture
def before_scan(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Callable[[], None]], None]:
    """Does something just before the folder of that name is read."""
    scandir = os.scandir

    def arrange(name: str, act: Callable[[], None]) -> None:
        def scan(folder: str) -> object:
            if Path(folder).name == name:
                monkeypatch.undo()
                act()
            return scandir(folder)

        monkeypatch.setattr(os, "scandir", scan)

    return arrange


@pytest.mark.parametrize("pattern", ["**/*", "*/*", "x/*", "**/f"])
def test_what_vanishes_during_the_walk_is_left_out(tmp_path, before_scan, pattern) -> None:
    for name in "wxy":
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").touch()
    before_scan("x", lambda: shutil.rmtree(tmp_path / "x"))
    assert tmp_path / "x/f" not in find_paths(tmp_path, pattern)


def test_a_file_that_vanishes_before_its_size_is_read_is_left_out(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / name).touch()
    found = stat_files(tmp_path)
    assert next(found)[0].name == "a"
    (tmp_path / "b").unlink()
    assert [path.name for path, _ in found] == ["c"]
