"""Copies: of a submission, so that its original stays as it is, and of the plan's files, where only the tester may read them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from pathlib import Path

from kvsim.config.plan import Plan
from kvsim.config.scenario import Scenario
from kvsim.config.scenario_text import text_of, with_values
from kvsim.errors import UsageError

BYTES_MAX = 2 << 30


def submissions_in(folder: Path) -> list[Path]:
    """The folders in it, each one submission, by name. Raises UsageError when there are none."""
    if not folder.is_dir():
        raise UsageError(f"{folder}: no such folder; it should hold one folder a submission")
    found = sorted(
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.is_symlink() and not path.name.startswith(".")
    )
    if not found:
        raise UsageError(f"{folder}: no submission is in it; it should hold one folder a submission")
    return found


def stage_plan(plan: Plan, folder: Path) -> None:
    """Every scenario of a plan (every cell of it), as one that stands alone beside its cluster, readable by us alone."""
    folder.mkdir(mode=0o700)
    for item in plan.items:
        place = folder / item.name
        place.mkdir()
        for scenario in item.scenarios:
            cluster = f"{scenario.folder}-cluster.yaml"
            shutil.copyfile(scenario.cluster, place / cluster)
            text = text_of(with_values(scenario.tree, cluster=cluster, program=""))
            (place / staged_name(scenario)).write_text(text, encoding="utf-8")


def staged_name(scenario: Scenario) -> str:
    """The file of one cell in the folder of its item."""
    return f"{scenario.folder}.yaml"


def copy_submission(source: Path, target: Path) -> str:
    """Copy files, folders and links; sockets, pipes and devices are left out. In words what is wrong, or nothing."""
    if _size(source) > BYTES_MAX:
        return f"larger than {BYTES_MAX >> 30} GB"
    try:
        shutil.copytree(source, target, symlinks=True, ignore=_special)
    except (OSError, shutil.Error) as error:
        return f"cannot be copied: {str(error)[:300]}"
    return ""


def owned_by(folder: Path, uid: int) -> None:
    """Give a tree to a user, links themselves and not what they point to; everybody may read it."""
    for path in [folder, *_everything(folder)]:
        os.chown(path, uid, uid, follow_symlinks=False)
        if not path.is_symlink():
            mode = stat.S_IMODE(path.lstat().st_mode) & 0o777
            path.chmod(mode | (0o755 if path.is_dir() or mode & 0o100 else 0o644))


def _everything(folder: Path) -> Iterable[Path]:
    for root, folders, files in os.walk(folder, followlinks=False):
        yield from (Path(root) / name for name in [*folders, *files])


def _special(folder: str, names: list[str]) -> set[str]:
    kinds = (stat.S_ISREG, stat.S_ISDIR, stat.S_ISLNK)
    return {name for name in names if not any(kind(os.lstat(Path(folder) / name).st_mode) for kind in kinds)}


def _size(folder: Path) -> int:
    return sum(path.lstat().st_size for path in _everything(folder))
