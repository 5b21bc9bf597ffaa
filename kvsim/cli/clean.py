"""Show what earlier runs left here: run directories with their sizes, and processes of runs that
are over. --yes removes them.

Without --yes nothing is removed. A run that is still being made is never touched. A cluster that
`kvsim up` started is not a run: `kvsim down` ends it.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from kvsim.cli.arguments import Subcommand, add_json
from kvsim.cli.output import show, table
from kvsim.config.yaml_nodes import display_path
from kvsim.errors import Exit, UsageError
from kvsim.folders import find_paths, stat_files
from kvsim.process import procfs
from kvsim.process.environment import ProcessTag
from kvsim.process.identity import Identity, from_stat
from kvsim.process.process_tree import Snapshot
from kvsim.process.termination import StopTarget, stop_all
from kvsim.run_directory import CAMPAIGN_PAGE, LATEST, META, RUNS, RunDirectory, remove_folder
from kvsim.text import plural

AGE_UNITS_S = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
SIZE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


class OldRun(Struct, frozen=True):
    """A folder of one run, or of several runs of one command (`repeat`, `sweep`)."""

    path: Path
    size_bytes: int
    age_s: float
    verdict: str


class LeftProcess(Struct, frozen=True):
    """A process of a run that is over."""

    identity: Identity
    run: Path
    command: str


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="?",
        type=Path,
        default=Path(RUNS),
        metavar="RUNS",
        help=f"the folder of run directories (default: {RUNS})",
    )
    parser.add_argument(
        "--older-than",
        type=age_s,
        default=0.0,
        metavar="AGE",
        help="only runs that ended longer ago: 30m, 12h, 7d, 2w (default: all)",
    )
    parser.add_argument("--yes", action="store_true", help="remove what is listed")
    add_json(parser)


def age_s(text: str) -> float:
    """`7d` in seconds."""
    match = re.fullmatch(r"(\d{1,6})([mhdw])", text)
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is no age; expected one like 30m, 12h, 7d, 2w")
    return float(int(match[1]) * AGE_UNITS_S[match[2]])


def run(arguments: argparse.Namespace) -> int:
    if not arguments.runs.is_dir():
        raise UsageError(
            f"{arguments.runs}: no such folder; runs are in {RUNS}/ of the folder in "
            "which `kvsim run` was called"
        )
    open_files = _open_files(arguments.runs.resolve())
    over = [path for path in folders_of(arguments.runs) if not _in_use(path, open_files)]
    processes = list(_left_processes(over))
    old = [old for old in map(_old_run, over) if old.age_s >= arguments.older_than]
    if arguments.yes:
        stop_all([StopTarget(process.identity) for process in processes])
        _remove(arguments.runs, old)
    if arguments.json:
        print(json.dumps(_as_json(old, processes, removed=arguments.yes)))
    else:
        show(_as_text(old, processes, removed=arguments.yes))
    return int(Exit.PASS)


def folders_of(runs: Path) -> list[Path]:
    """The folders of runs, and of commands that make many, by name. Foreign ones are left out."""
    folders = [path for path in runs.iterdir() if path.is_dir() and not path.is_symlink()]
    return sorted(path for path in folders if _runs_below(path) and not _is_campaign(path))


def _is_campaign(folder: Path) -> bool:
    """A campaign is continued by its next call: its results are not left over."""
    return (folder / CAMPAIGN_PAGE).is_file()


def _runs_below(folder: Path) -> list[Path]:
    """The run directories of a folder: itself, or those one or two levels below."""
    found = [
        path.parent for depth in ("", "*/", "*/*/") for path in find_paths(folder, f"{depth}{META}")
    ]
    return [path for path in found if not path.is_symlink()]


def _open_files(runs: Path) -> set[str]:
    """The files below `runs` that a process has open."""
    found = set()
    for pid in procfs.table():
        for entry in _descriptors(pid):
            if entry.startswith(f"{runs}/"):
                found.add(entry)
    return found


def _descriptors(pid: int) -> list[str]:
    """What a process has open; nothing where it may not be examined."""
    try:
        links = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return []
    found = []
    for link in links:
        try:
            found.append(str(link.readlink()))
        except OSError:
            continue
    return found


def _in_use(folder: Path, open_files: set[str]) -> bool:
    """Whether kvsim still writes a run of this folder: its journal is open."""
    journals = {str(RunDirectory(path.resolve()).journal) for path in _runs_below(folder)}
    return bool(journals & open_files)


def _old_run(folder: Path) -> OldRun:
    files = [found for _, found in stat_files(folder)]
    size = sum(found.st_size for found in files)
    newest = max((found.st_mtime for found in files), default=folder.stat().st_mtime)
    verdicts = [_verdict(path) for path in _runs_below(folder)]
    verdict = verdicts[0] if len(verdicts) == 1 else plural(len(verdicts), "run")
    return OldRun(folder, size, max(0.0, time.time() - newest), verdict)


def _verdict(run: Path) -> str:
    try:
        proof = json.loads((run / "proof.json").read_text(encoding="utf-8"))
        return str(proof["verdict"])
    except (OSError, ValueError, KeyError, TypeError):
        return "no proof"


def _left_processes(folders: Sequence[Path]) -> Iterator[LeftProcess]:
    """The living processes that carry the tag of a run in one of these folders."""
    snapshot = Snapshot()
    for folder in folders:
        for run in _runs_below(folder):
            for pid in sorted(snapshot.by_tag.get(ProcessTag(_tag_of(run)), ())):
                identity = from_stat(snapshot.table[pid])
                if identity and identity.alive():
                    yield LeftProcess(identity, run, procfs.cmdline(pid))


def _tag_of(run: Path) -> str:
    try:
        return str(json.loads((run / META).read_text(encoding="utf-8"))["run"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _remove(runs: Path, old: Sequence[OldRun]) -> None:
    for folder in old:
        remove_folder(folder.path)
    latest = runs / LATEST
    if latest.is_symlink() and not latest.exists():
        latest.unlink()


def _as_json(
    old: Sequence[OldRun], processes: Sequence[LeftProcess], removed: bool
) -> dict[str, object]:
    return {
        "removed": removed,
        "runs": [
            {
                "path": str(folder.path),
                "bytes": folder.size_bytes,
                "age_s": round(folder.age_s),
                "verdict": folder.verdict,
            }
            for folder in old
        ],
        "processes": [
            {"pid": process.identity.pid, "run": str(process.run), "command": process.command}
            for process in processes
        ],
    }


def _as_text(old: Sequence[OldRun], processes: Sequence[LeftProcess], removed: bool) -> str:
    if not old and not processes:
        return "nothing to remove"
    lines = []
    if processes:
        rows = [
            (str(process.identity.pid), process.run.name, process.command) for process in processes
        ]
        lines += [table(("pid", "run", "command"), rows), ""]
    if old:
        folders = [
            (
                display_path(folder.path),
                _size(folder.size_bytes),
                _age(folder.age_s),
                folder.verdict,
            )
            for folder in old
        ]
        lines += [table(("run directory", "size", "age", "verdict"), folders), ""]
    total = _size(sum(folder.size_bytes for folder in old))
    what = f"{_runs(len(old))}, {total}"
    if processes:
        count = len(processes)
        what += f"; {count} {'process' if count == 1 else 'processes'}"
    return "\n".join([*lines, f"removed: {what}" if removed else f"{what}; --yes removes them"])


def _runs(count: int) -> str:
    return f"{count} run {'directory' if count == 1 else 'directories'}"


def _size(count: float) -> str:
    for unit in SIZE_UNITS[:-1]:
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} {SIZE_UNITS[-1]}"


def _age(age_s: float) -> str:
    for unit in ("w", "d", "h", "m"):
        if age_s >= 2 * AGE_UNITS_S[unit]:
            return f"{age_s / AGE_UNITS_S[unit]:.0f}{unit}"
    return f"{age_s:.0f}s"


COMMANDS = {"clean": Subcommand(__doc__, configure, run)}
