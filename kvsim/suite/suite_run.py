"""The runs of a test: their order, their time, their results. The doctor works beside the first.

Starts `kvsim run` for each part, and judges nothing itself.
"""

from __future__ import annotations

import contextlib
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from msgspec import Struct, field

from kvsim.invocation import invocation
from kvsim.process.exec_wrappers import die_with_parent
from kvsim.suite.by_subject import (
    DOCTOR,
    Observed,
    SuiteResult,
    is_settled,
    observe_doctor,
    observe_run,
    warnings_of,
    warnings_of_run,
)
from kvsim.suite.parts import Part
from kvsim.trials.pool import run_all
from kvsim.trials.repeat import discard_passed
from kvsim.trials.trial import Ending, Trial, TrialResult
from kvsim.trials.trial_process import proof_of

# No run takes so long; the time limit of the whole test is asked before each.
LIMIT_S = 240.0
DOCTOR_TIMEOUT_S = 300.0

# Called after each run with the number of runs made, the part and its result.
OnRun = Callable[[int, Part, TrialResult], None]


class SuitePlan(Struct, frozen=True):
    """What to run. `time_s`: no run is started later. `doctor` are the words of `kvsim doctor`;
    `arguments` those of every `kvsim run`.
    """

    parts: Sequence[Part]
    folder: Path
    seed: int
    jobs: int
    time_s: float
    doctor: Sequence[str]
    arguments: tuple[str, ...] = ()


class SuiteRun(Struct):
    """One test. What told nothing (unknown, invalid) is asked once more, alone, with another seed;
    if no time is left for that, the first result counts.
    """

    plan: SuitePlan
    on_run: OnRun
    result: SuiteResult = field(default_factory=SuiteResult)
    made: int = 0
    _again: dict[str, list[Observed]] = field(default_factory=dict)
    _part_of: dict[str, Part] = field(default_factory=dict)
    _began_s: float = 0.0

    def run(self) -> SuiteResult:
        """Make all runs, until the time is over or Ctrl-C ends them."""
        self._began_s = time.monotonic()
        self.result.skipped = [part for part in self.plan.parts if part.skipped]
        to_run = [part for part in self.plan.parts if part.file is not None]
        self._part_of = {str(part.file): part for part in to_run}
        with self._doctor() as doctor:
            finished = self._run_all(list(self._part_of), self.plan.seed, self.plan.jobs)
            if finished and self._again:
                finished = self._run_all(list(self._again), self.plan.seed + 1, 1)
            self._read_doctor(doctor, wait=finished)
        for observed in self._again.values():
            self.result.observed += observed
        if not finished:
            self.result.endings.append(Ending.INTERRUPTED)
        (self.plan.folder / "latest").unlink(missing_ok=True)
        return self.result

    @property
    def took_s(self) -> float:
        return time.monotonic() - self._began_s

    def _run_all(self, files: Sequence[str], seed: int, jobs: int) -> bool:
        """False when Ctrl-C ended it."""
        trials = (
            Trial(file, seed, self.plan.arguments) for file in files if self._is_in_time(file)
        )
        return run_all(trials, jobs, self._on_result, out=self.plan.folder, limit_s=LIMIT_S)

    def _is_in_time(self, file: str) -> bool:
        part = self._part_of[file]
        if self.plan.time_s - self.took_s > part.seconds:
            return True
        if file not in self._again:
            self.result.not_reached.append(part)
        return False

    def _on_result(self, trial: Trial, result: TrialResult) -> bool:
        part, proof = self._part_of[trial.scenario], proof_of(result)
        self.made += 1
        self.on_run(self.made, part, result)
        if result.ending is Ending.INTERRUPTED:
            return False
        observed = list(observe_run(part, result, proof))
        self.result.add_warnings(warnings_of_run(proof))
        discard_passed(result)
        if self._again.pop(trial.scenario, None) is None and not is_settled(result, proof):
            self._again[trial.scenario] = observed
        else:
            self.result.observed += observed
        return False

    @contextlib.contextmanager
    def _doctor(self) -> Iterator[subprocess.Popen[str]]:
        process = subprocess.Popen(
            die_with_parent([sys.executable, "-m", "kvsim", *self.plan.doctor, "--json"]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def _read_doctor(self, process: subprocess.Popen[str], *, wait: bool) -> None:
        left_s = self.plan.time_s - self.took_s
        try:
            output, _ = process.communicate(
                timeout=max(1.0, min(DOCTOR_TIMEOUT_S, left_s)) if wait else 0.1
            )
            diagnoses = json.loads(output)
        except (subprocess.TimeoutExpired, ValueError):
            self.result.not_reached.append(Part(DOCTOR, "manners", 0.0))
            return
        command = shlex.join([*invocation(), *self.plan.doctor])
        self.result.observed += observe_doctor(diagnoses, command)
        self.result.add_warnings(warnings_of(diagnoses))
