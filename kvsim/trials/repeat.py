"""Run one scenario many times; keep every result, and the run directories of runs that failed."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from msgspec import Struct
from msgspec.structs import replace

from kvsim.errors import RunInvalid
from kvsim.file_formats import format_fields
from kvsim.run_directory import make_folder, remove_folder
from kvsim.trials.pool import run_all
from kvsim.trials.repeat_summary import RepeatSummary
from kvsim.trials.trial import BAD, Ending, OnProgress, Trial, TrialResult

RESULTS, SUMMARY = "results.jsonl", "summary.json"
# The format of both files.
RESULTS_FORMAT = 1
# The number of runs where only a failure ends them.
UNLIMITED = 2**31


class ResultFile:
    """`results.jsonl`, one result on each line, flushed after each: an interrupt loses none.

    A context manager.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> ResultFile:
        self._file = self.path.open("a", encoding="utf-8")
        return self

    def write(self, trial: Trial, result: TrialResult) -> None:
        """Append one result. Raises RunInvalid when it cannot be written."""
        line = json.dumps(
            {
                **format_fields(RESULTS_FORMAT),
                "trial": trial.to_json(),
                "result": result.to_json(),
            }
        )
        try:
            self._file.write(line + "\n")
            self._file.flush()
        except OSError as error:
            raise RunInvalid(
                f"a result could not be recorded in {self.path}: {error.strerror}"
            ) from error

    def __exit__(
        self, kind: type | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class RepeatPlan(Struct, frozen=True):
    """What to repeat. `planned` 0: until a run fails.

    `same_seed`: every run draws the same values, so that only timing differs.
    """

    scenario: Path
    name: str
    first_seed: int
    arguments: tuple[str, ...]
    planned: int
    jobs: int
    limit_s: float
    folder: Path
    until_fail: bool = False
    same_seed: bool = False
    keep_all: bool = False

    def trials(self) -> Iterator[Trial]:
        """One for each run; seeds count up from the first, so that the list is known in advance."""
        for number in range(self.planned or UNLIMITED):
            seed = self.first_seed if self.same_seed else self.first_seed + number
            yield Trial(str(self.scenario), seed, self.arguments)


def repeat(plan: RepeatPlan, on_progress: OnProgress = lambda made, newest: None) -> RepeatSummary:
    """Make the runs. Ctrl-C leaves a summary of the runs that were made.

    Raises UsageError when the folder cannot be made.
    """
    make_folder(plan.folder)
    started = time.monotonic()
    pairs: list[tuple[Trial, TrialResult]] = []
    with ResultFile(plan.folder / RESULTS) as results:

        def on_result(trial: Trial, result: TrialResult) -> bool:
            kept = result if plan.keep_all else discard_passed(result)
            results.write(trial, kept)
            pairs.append((trial, kept))
            on_progress(len(pairs), kept)
            return (plan.until_fail and kept.ending in BAD) or kept.ending is Ending.SKIPPED

        run_all(plan.trials(), plan.jobs, on_result, out=plan.folder, limit_s=plan.limit_s)
    (plan.folder / "latest").unlink(missing_ok=True)
    took_s = time.monotonic() - started
    return RepeatSummary(plan.name, pairs, plan.planned, plan.jobs, plan.limit_s, took_s)


def discard_passed(result: TrialResult) -> TrialResult:
    """Remove the run directory of a run that passed."""
    if not result.run or result.ending is not Ending.PASS:
        return result
    remove_folder(Path(result.run))
    return replace(result, run="")


def new_folder(parent: Path, name: str) -> Path:
    """A path for a new folder in `parent`; it is made when the runs begin."""
    stamp = time.strftime("%Y%m%d-%H%M%S")
    suffixes = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    paths = (parent / f"{stamp}-{name}{suffix}" for suffix in suffixes)
    return next(path for path in paths if not path.exists())
