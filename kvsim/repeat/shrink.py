"""The smallest scenario that still fails the same way: leave out steps, and make numbers smaller, as long as it does.

Delta debugging (A. Zeller, R. Hildebrandt, "Simplifying and Isolating Failure-Inducing Input", IEEE Transactions on Software
Engineering 28(2), 2002): ever smaller parts are left out, and what still fails is gone on with. Numbers go down by halves. Every try is a
`kvsim run` of its own, made often enough that what fails as often as the whole did is thrown away by mistake at most once in twenty times.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path as File

from kvsim.config.scenario_text import text_of
from kvsim.config.yaml_tree import Fields
from kvsim.repeat.amounts import amounts_of, descent, sums, with_amount
from kvsim.repeat.smaller import Path, paths_of, without
from kvsim.trials.running import make
from kvsim.trials.trial import BAD, Ending, Result, Trial

STEP_NUMBER = re.compile(r"^step [0-9.]+ ")

FEW, MANY = 3, 10  # runs of the whole scenario, to see how often it fails
RUNS_MAX = 30
SURE = 0.95

Progress = Callable[[int, int], None]  # tries made, steps left


@dataclass(frozen=True)
class Shrinking:
    """What is shrunk. `trial` is the run that failed; `tries`: a scenario is smaller only if it fails within so many runs (None: as many
    as its rate of failing asks for). `nodes`: how many its cluster has.

    `reference`: the arguments of a run with a store that is right. What fails with that store, too, is another failure: a step that
    expects what an earlier one was to bring about, for example, and the earlier one left out.
    """

    scenario: Fields
    trial: Trial
    folder: File
    tries: int | None
    limit_s: float
    nodes: int
    reference: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Shrunk:
    """What is left, how it fails, and how often of the last runs of it did."""

    scenario: Fields
    failure: Result
    failed: int
    runs: int
    steps_before: int
    steps_after: int
    tries: int
    before: Mapping[str, int]  # kind of number → how much there was of it
    after: Mapping[str, int]


def same_failure(one: Result, other: Result) -> bool:
    """Whether both went wrong in the same way: same ending, same check or same kind of step. Numbers of steps may differ."""
    return one.ending == other.ending and STEP_NUMBER.sub("", one.place) == STEP_NUMBER.sub("", other.place)


def first_failure(shrinking: Shrinking) -> tuple[Result | None, int]:
    """How the whole scenario fails (None: it did not), and within how many runs it then has to.

    Three runs that all fail the same way are taken for one that always does. Otherwise ten runs measure how often it fails.
    """
    work = _Work(shrinking, Result(Ending.PASS, 0.0), lambda tries, left: None)
    results = [work.run(shrinking.scenario) for _ in range(shrinking.tries or FEW)]
    bad = [result for result in results if result.ending in BAD]
    if len(bad) == len(results) and all(same_failure(one, bad[0]) for one in bad):
        return bad[0], 1
    if shrinking.tries is not None:
        return (bad[0] if bad else None), shrinking.tries
    if not any(one.ending is Ending.ERROR for one in bad):
        results += [work.run(shrinking.scenario) for _ in range(MANY - FEW)]
    bad = [result for result in results if result.ending in BAD]
    if not bad:
        return None, 1
    alike = sum(same_failure(one, bad[0]) for one in results)
    return bad[0], runs_for(alike, len(results))


def runs_for(failed: int, runs: int) -> int:
    """So many runs that what fails with this rate fails in one of them with a probability of 95 %; at most RUNS_MAX."""
    if failed >= runs:
        return 1
    return min(RUNS_MAX, math.ceil(math.log(1 - SURE) / math.log(1 - failed / runs)))


def holds_with_reference(shrinking: Shrinking) -> bool:
    """Whether the reference passes the whole scenario; only then it can tell one failure from another."""
    work = _Work(shrinking, Result(Ending.PASS, 0.0), lambda tries, left: None)
    return work.run(shrinking.scenario, shrinking.reference).ending is Ending.PASS


def shrink(shrinking: Shrinking, failure: Result, progress: Progress = lambda tries, left: None) -> Shrunk:
    """Leave out what can be left out. Ctrl-C ends it with the smallest that was found."""
    work = _Work(shrinking, failure, progress)
    steps_before = len(paths_of(shrinking.scenario))
    try:
        while work.one_round() or work.smaller_amounts():
            pass
    except KeyboardInterrupt:
        pass
    final = [work.run(work.scenario) for _ in range(max(FEW, work.tries))]
    return Shrunk(
        scenario=work.scenario,
        failure=failure,
        failed=sum(same_failure(one, failure) for one in final),
        runs=len(final),
        steps_before=steps_before,
        steps_after=len(paths_of(work.scenario)),
        tries=work.made,
        before=sums(shrinking.scenario, shrinking.nodes),
        after=sums(work.scenario, shrinking.nodes),
    )


class _Work:
    """The smallest scenario so far."""

    def __init__(self, shrinking: Shrinking, failure: Result, progress: Progress) -> None:
        self.shrinking, self.failure, self.progress = shrinking, failure, progress
        self.scenario = shrinking.scenario
        self.tries = shrinking.tries or 1
        self.made = 0

    def one_round(self) -> bool:
        """Try to leave out halves, quarters, … single steps; whether anything went."""
        shorter = False
        size = len(paths_of(self.scenario))
        while size:
            shorter |= self._parts_of(size)
            size = min(size // 2, len(paths_of(self.scenario)))
        return shorter

    def _parts_of(self, size: int) -> bool:
        """From the end on, since what comes late depends on what came before."""
        shorter, end = False, len(paths_of(self.scenario))
        while end > 0:
            part = frozenset(paths_of(self.scenario)[max(0, end - size) : end])
            shorter |= self._leave_out(part)
            end = min(end - size, len(paths_of(self.scenario)))
        return shorter

    def _leave_out(self, part: frozenset[Path]) -> bool:
        candidate = without(self.scenario, part)
        return bool(paths_of(candidate)) and self._taken(candidate)

    def smaller_amounts(self) -> bool:
        """Make each number as small as it can be; whether any became smaller."""
        shorter = False
        tried: set[tuple[Path, str, int]] = set()  # what cannot go further down
        while amount := next(
            (
                one
                for one in amounts_of(self.scenario, self.shrinking.nodes)
                if (one.path, one.name, one.value) not in tried
            ),
            None,
        ):
            tried.add((amount.path, amount.name, amount.value))
            shorter |= any(
                self._taken(with_amount(self.scenario, amount, value)) for value in descent(amount)
            )
        return shorter

    def _taken(self, candidate: Fields) -> bool:
        """Go on with it if it fails as the whole did."""
        if not self._fails(candidate):
            return False
        self.scenario = candidate
        self.progress(self.made, len(paths_of(candidate)))
        return True

    def _fails(self, candidate: Fields) -> bool:
        if not any(same_failure(self.run(candidate), self.failure) for _ in range(self.tries)):
            return False
        reference = self.shrinking.reference
        return reference is None or self.run(candidate, reference).ending is Ending.PASS

    def run(self, scenario: Fields, arguments: tuple[str, ...] | None = None) -> Result:
        self.made += 1
        file = self.shrinking.folder / "candidate.yaml"
        file.write_text(text_of(scenario), encoding="utf-8")
        own = self.shrinking.trial.arguments if arguments is None else arguments
        trial = replace(self.shrinking.trial, scenario=str(file), arguments=own)
        result = make(trial, self.shrinking.folder, self.shrinking.limit_s)
        self.progress(self.made, len(paths_of(self.scenario)))
        return result
