"""Make many runs of one scenario and keep what is needed: every result, and the run directories of those that did not pass."""

from __future__ import annotations

import itertools
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from kvsim.errors import UsageError
from kvsim.repeat.summary import Summary
from kvsim.trials.journal import ResultFile
from kvsim.trials.pool import run_all
from kvsim.trials.trial import BAD, Ending, Result, Trial

RESULTS, SUMMARY = "results.jsonl", "summary.json"
UNENDING = 2**31  # runs, where only a failure ends them

Progress = Callable[[int, Result], None]  # how many are made, and the newest


@dataclass(frozen=True)
class Repeat:
    """What is to be repeated. `wanted` 0: until one fails. `same_seed`: the same draws every time, where timing alone differs."""

    scenario: Path
    name: str
    first_seed: int
    arguments: tuple[str, ...]
    wanted: int
    jobs: int
    limit_s: float
    folder: Path
    until_fail: bool = False
    same_seed: bool = False
    keep: bool = False

    def trials(self) -> Iterator[Trial]:
        """One a run; seeds count up from the first, so that the list is known before it is made."""
        for number in range(self.wanted or UNENDING):
            seed = self.first_seed if self.same_seed else self.first_seed + number
            yield Trial(str(self.scenario), seed, self.arguments)


def repeat(plan: Repeat, progress: Progress = lambda made, newest: None) -> Summary:
    """Make the runs. Ctrl-C leaves a summary of those that were made. Raises UsageError when the folder cannot be made."""
    _make(plan.folder)
    began = time.monotonic()
    pairs: list[tuple[Trial, Result]] = []
    with ResultFile(plan.folder / RESULTS) as results:

        def report(trial: Trial, result: Result) -> bool:
            kept = kept_result(result, plan.keep)
            results.write(trial, kept)
            pairs.append((trial, kept))
            progress(len(pairs), kept)
            return (plan.until_fail and kept.ending in BAD) or kept.ending is Ending.SKIPPED

        run_all(plan.trials(), plan.jobs, report, out=plan.folder, limit_s=plan.limit_s)
    (plan.folder / "latest").unlink(missing_ok=True)
    took_s = time.monotonic() - began
    return Summary(plan.name, pairs, plan.wanted, plan.jobs, plan.limit_s, took_s)


def kept_result(result: Result, keep: bool) -> Result:
    """Remove the run directory of a run that passed, unless all are kept: ten thousand of them are of no use to anybody."""
    if keep or not result.run or result.ending is not Ending.PASS:
        return result
    shutil.rmtree(result.run, ignore_errors=True)
    return replace(result, run="")


def new_folder(parent: Path, name: str) -> Path:
    """A name for a fresh folder in `parent`; it is made when the runs begin."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    names = (
        f"{stamp}-{name}{suffix}" for suffix in itertools.chain([""], (f"-{n}" for n in itertools.count(2)))
    )
    return next(parent / one for one in names if not (parent / one).exists())


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {folder}: {error.strerror}") from error
