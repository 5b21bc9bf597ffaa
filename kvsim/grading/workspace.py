"""Copies: of each submission, so that the original stays unchanged, and of the plan's scenarios."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from kvsim.config.plan import GradingPlan
from kvsim.config.scenario import Scenario
from kvsim.config.scenario_writer import self_contained, text_of, with_values
from kvsim.errors import UsageError

BYTES_MAX = 2 << 30
ERROR_MAX = 300


def submissions_in(folder: Path) -> list[Path]:
    """The folders in it, each one submission, by name. Raises UsageError when there are none."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; it should hold one folder per submission")
    found = sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
    )
    if not found:
        raise UsageError(
            f"{folder}: no submission is in it; it should hold one folder per submission"
        )
    return found


def copy_plan(plan: GradingPlan, folder: Path) -> None:
    """Write each scenario (each cell) next to its cluster file, readable by kvsim's user only."""
    folder.mkdir(mode=0o700)
    for item in plan.items:
        item_folder = folder / item.name
        item_folder.mkdir()
        for scenario in item.scenarios:
            cluster = f"{scenario.folder}-cluster.yaml"
            shutil.copyfile(scenario.cluster, item_folder / cluster)
            text = text_of(with_values(self_contained(scenario), cluster=cluster, program=""))
            (item_folder / copied_name(scenario)).write_text(text, encoding="utf-8")


def copied_name(scenario: Scenario) -> str:
    """The file of one cell in the folder of its item."""
    return f"{scenario.folder}.yaml"


def copy_submission(source: Path, target: Path) -> str:
    """Copy files, folders and links; sockets, pipes and devices are left out.

    Returns why it failed, or an empty text.
    """
    if _size(source) > BYTES_MAX:
        return f"larger than {BYTES_MAX >> 30} GB"
    try:
        shutil.copytree(source, target, symlinks=True, ignore=_special_files)
    except (OSError, shutil.Error) as error:
        return f"cannot be copied: {str(error)[:ERROR_MAX]}"
    return ""


def give_to(folder: Path, uid: int) -> None:
    """Make a user the owner of a tree, of links too and not of their targets; all may read it."""
    for path in [folder, *_tree(folder)]:
        os.chown(path, uid, uid, follow_symlinks=False)
        if not path.is_symlink():
            mode = stat.S_IMODE(path.lstat().st_mode) & 0o777
            path.chmod(mode | (0o755 if path.is_dir() or mode & 0o100 else 0o644))


def _tree(folder: Path) -> Iterable[Path]:
    for root, folders, files in os.walk(folder, followlinks=False):
        yield from (Path(root) / name for name in [*folders, *files])


def _special_files(folder: str, names: list[str]) -> set[str]:
    kinds = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)
    return {
        name
        for name in names
        if not any(kind(os.lstat(Path(folder) / name).st_mode) for kind in kinds)
    }


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in _tree(folder))
