"""The smallest scenario that still fails the same way: leave steps out, make numbers smaller.

Steps are left out by delta debugging (`ddmin`), numbers go down by halves. Each try is a
`kvsim run`, repeated often enough that a candidate which fails as often as the whole scenario is
rejected by mistake at most once in twenty times. Where the whole scenario always fails, a
candidate has to fail three times in a row: otherwise many small steps, each accepted by chance,
lead to a scenario that hardly ever fails.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from kvsim.checks.linearizability.delta_debugging import ddmin
from kvsim.config.scenario_writer import text_of
from kvsim.config.yaml_nodes import Fields
from kvsim.trials.scenario_edit import (
    StepPath,
    amount_totals,
    amounts_of,
    paths_of,
    smaller_values,
    with_amount,
    without,
)
from kvsim.trials.trial import BAD, Ending, Trial, TrialResult
from kvsim.trials.trial_process import run_trial

STEP_NUMBER = re.compile(r"^step [0-9.]+ ")

# Runs of the whole scenario: the first few show whether it always fails; more measure its rate.
FEW_RUNS, MANY_RUNS = 3, 10
RUNS_MAX = 30
CONFIDENCE = 0.95

# Called with the number of runs made and the number of steps left.
OnProgress = Callable[[int, int], None]


class ShrinkTask(Struct, frozen=True):
    """The failed run to shrink. `nodes`: how many nodes its cluster has.

    `tries`: a candidate has to fail within so many runs; None: as many as its failure rate needs.
    `reference`: the arguments of a run with a correct store. A candidate that fails with the
    correct store too has another failure, for example because a step that a later one depends on
    was left out.
    """

    scenario: Fields
    trial: Trial
    folder: Path
    tries: int | None
    limit_s: float
    nodes: int
    reference: tuple[str, ...] | None = None


class ShrinkResult(Struct, frozen=True):
    """The smallest scenario, its failure, and how many of its last `runs` failed.

    `before` and `after` are totals of the scenario's numbers, by kind.
    """

    scenario: Fields
    failure: TrialResult
    failed: int
    runs: int
    steps_before: int
    steps_after: int
    tries: int
    before: Mapping[str, int]
    after: Mapping[str, int]


def same_failure(first: TrialResult, second: TrialResult) -> bool:
    """Whether both have the same ending at the same check or kind of step.

    The number of the step may differ.
    """
    return first.ending == second.ending and _without_number(first) == _without_number(second)


def _without_number(result: TrialResult) -> str:
    return STEP_NUMBER.sub("", result.failed_at)


def first_failure(task: ShrinkTask) -> tuple[TrialResult | None, int]:
    """How the whole scenario fails (None: it does not), and within how many runs it has to.

    A scenario that fails the same way three times is assumed to fail always. Otherwise ten
    runs measure how often it fails.
    """
    shrinker = _Shrinker(task, TrialResult(Ending.PASS, 0.0), lambda tries, left: None)
    results = [shrinker.run(task.scenario) for _ in range(task.tries or FEW_RUNS)]
    bad = [result for result in results if result.ending in BAD]
    if len(bad) == len(results) and all(same_failure(result, bad[0]) for result in bad):
        return bad[0], 1
    if task.tries is not None:
        return (bad[0] if bad else None), task.tries
    if not any(result.ending is Ending.ERROR for result in bad):
        results += [shrinker.run(task.scenario) for _ in range(MANY_RUNS - FEW_RUNS)]
    bad = [result for result in results if result.ending in BAD]
    if not bad:
        return None, 1
    same_count = sum(same_failure(result, bad[0]) for result in results)
    return bad[0], runs_needed(same_count, len(results))


def runs_needed(failed: int, runs: int) -> int:
    """How many runs fail at least once with 95 % probability, at a rate of `failed` of `runs`.

    At most RUNS_MAX.
    """
    if failed >= runs:
        return 1
    return min(RUNS_MAX, math.ceil(math.log(1 - CONFIDENCE) / math.log(1 - failed / runs)))


def reference_passes(task: ShrinkTask) -> bool:
    """Whether the reference passes the whole scenario; otherwise it cannot separate failures."""
    shrinker = _Shrinker(task, TrialResult(Ending.PASS, 0.0), lambda tries, left: None)
    return shrinker.run(task.scenario, task.reference).ending is Ending.PASS


def shrink(
    task: ShrinkTask, failure: TrialResult, on_progress: OnProgress = lambda tries, left: None
) -> ShrinkResult:
    """Make the scenario as small as possible. Ctrl-C ends it with the smallest scenario found."""
    shrinker = _Shrinker(task, failure, on_progress)
    try:
        while shrinker.leave_out_steps() or shrinker.reduce_amounts():
            pass
    except KeyboardInterrupt:
        pass
    last = [shrinker.run(shrinker.scenario) for _ in range(max(FEW_RUNS, shrinker.tries))]
    return ShrinkResult(
        scenario=shrinker.scenario,
        failure=failure,
        failed=sum(same_failure(result, failure) for result in last),
        runs=len(last),
        steps_before=len(paths_of(task.scenario)),
        steps_after=len(paths_of(shrinker.scenario)),
        tries=shrinker.made,
        before=amount_totals(task.scenario, task.nodes),
        after=amount_totals(shrinker.scenario, task.nodes),
    )


class _Shrinker:
    """The smallest scenario so far, and the runs that find a smaller one."""

    def __init__(self, task: ShrinkTask, failure: TrialResult, on_progress: OnProgress) -> None:
        self.task, self.failure, self.on_progress = task, failure, on_progress
        self.scenario = task.scenario
        self.tries = task.tries or 1
        self.made = 0

    def leave_out_steps(self) -> bool:
        """Leave out as many steps as possible; whether any could be left out.

        The last steps are tried first, because later steps depend on earlier ones.
        """
        whole = self.scenario
        paths = paths_of(whole)

        def fails(kept: list[StepPath]) -> bool:
            return self._try(without(whole, frozenset(paths) - frozenset(kept)))

        ddmin(paths[::-1], fails)
        return len(paths_of(self.scenario)) < len(paths)

    def reduce_amounts(self) -> bool:
        """Make each number as small as possible; whether any became smaller."""
        reduced = False
        # Amounts that cannot be smaller: step, name and value.
        tried: set[tuple[StepPath, str, int]] = set()
        while True:
            candidates = amounts_of(self.scenario, self.task.nodes)
            new = (
                candidate
                for candidate in candidates
                if (candidate.path, candidate.name, candidate.value) not in tried
            )
            amount = next(new, None)
            if amount is None:
                return reduced
            tried.add((amount.path, amount.name, amount.value))
            values = smaller_values(amount)
            reduced |= any(self._try(with_amount(self.scenario, amount, v)) for v in values)

    def _try(self, candidate: Fields) -> bool:
        """Whether the candidate fails as the whole scenario did; then it replaces the scenario."""
        if candidate == self.scenario:
            return True
        if not paths_of(candidate) or not self._fails(candidate):
            return False
        self.scenario = candidate
        self.on_progress(self.made, len(paths_of(candidate)))
        return True

    def _fails(self, candidate: Fields) -> bool:
        if not self._fails_often_enough(candidate):
            return False
        reference = self.task.reference
        return reference is None or self.run(candidate, reference).ending is Ending.PASS

    def _fails_often_enough(self, candidate: Fields) -> bool:
        """Always, if the whole scenario always fails; otherwise once within `tries` runs."""
        if self.tries == 1:
            return all(same_failure(self.run(candidate), self.failure) for _ in range(FEW_RUNS))
        return any(same_failure(self.run(candidate), self.failure) for _ in range(self.tries))

    def run(self, scenario: Fields, arguments: tuple[str, ...] | None = None) -> TrialResult:
        """One run, with the trial's own arguments by default."""
        self.made += 1
        file = self.task.folder / "candidate.yaml"
        file.write_text(text_of(scenario), encoding="utf-8")
        trial = replace(self.task.trial, scenario=str(file))
        if arguments is not None:
            trial = replace(trial, arguments=arguments)
        result = run_trial(trial, self.task.folder, self.task.limit_s)
        self.on_progress(self.made, len(paths_of(self.scenario)))
        return result
