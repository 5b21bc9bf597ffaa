"""Digests of the files a proof rests on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from kvsim.errors import UsageError
from kvsim.rundir import JOURNAL, META, RunDir

ALWAYS = (META, JOURNAL, "scenario.yaml", "cluster.yaml")


def digests(run: RunDir) -> dict[str, dict[str, object]]:
    """Relative path → size in bytes and SHA-256, for every file that the judgement reads or quotes."""
    paths = [run.path / name for name in ALWAYS]
    paths += sorted(path for path in run.path.glob("nodes/*/*.log") if path.is_file())
    paths += run.loads
    return {str(path.relative_to(run.path)): _digest(path) for path in paths}


def differences(run: RunDir, stated: Mapping[str, Mapping[str, object]]) -> list[str]:
    """One line for each file that is not what the proof says it is: changed, missing, or not mentioned."""
    problems = []
    for name, digest in stated.items():
        path = run.path / name
        if not path.is_file():
            problems.append(f"{path}: is missing; the proof rests on it")
        elif _digest(path) != dict(digest):
            problems.append(f"{path}: was changed after the run ({_how(_digest(path), digest)})")
    problems += [
        f"{run.path / name}: is not mentioned in the proof" for name in digests_names(run) - set(stated)
    ]
    return problems


def digests_names(run: RunDir) -> set[str]:
    """The files a proof of this run has to mention."""
    logs = {str(path.relative_to(run.path)) for path in run.path.glob("nodes/*/*.log")}
    loads = {str(path.relative_to(run.path)) for path in run.loads}
    return logs | loads | {name for name in ALWAYS if (run.path / name).is_file()}


def _how(now: Mapping[str, object], stated: Mapping[str, object]) -> str:
    if now["bytes"] != stated.get("bytes"):
        return f"it has {now['bytes']} bytes, the proof says {stated.get('bytes')}"
    return "same size, other content"


def _digest(path: Path) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            return {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    except OSError as error:
        raise UsageError(f"{path}: a file of the run cannot be read: {error.strerror}") from error
