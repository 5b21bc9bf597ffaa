"""What many runs of one scenario show together: rates, failure groups, time used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from msgspec import Struct

from kvsim.errors import Exit
from kvsim.timeouts import CALIBRATED
from kvsim.trials.confidence import Rate
from kvsim.trials.failure_groups import FailureGroup, describe_group, group_failures
from kvsim.trials.trial import BAD, Ending, Trial, TrialResult, exit_of

Pairs = Sequence[tuple[Trial, TrialResult]]


class RepeatSummary(Struct, frozen=True, dict=True):
    """The runs that were made, of those `planned` (0: until a run fails).

    `limit_s` is the time limit of each run.
    """

    scenario: str
    pairs: Pairs
    planned: int
    jobs: int
    limit_s: float
    took_s: float

    @cached_property
    def counts(self) -> Mapping[Ending, int]:
        """How often each ending came, without the interrupted runs, which show nothing."""
        counter: Counter[Ending] = Counter(result.ending for _, result in self.pairs)
        del counter[Ending.INTERRUPTED]
        return {ending: counter[ending] for ending in Ending if counter[ending]}

    @property
    def made(self) -> int:
        return sum(self.counts.values())

    @property
    def bad(self) -> int:
        return sum(count for ending, count in self.counts.items() if ending in BAD)

    @property
    def mixed(self) -> bool:
        """Whether some runs passed and some did not, so that store or machine may be the cause."""
        return 0 < self.bad < self.made

    @property
    def slowest_s(self) -> float:
        return max((result.took_s for _, result in self.pairs), default=0.0)

    @property
    def time_limit_factors(self) -> tuple[float, float] | None:
        """The smallest and the largest factor of kvsim's own time limits in a run."""
        factors = [
            result.time_limits["default_factor"] for _, result in self.pairs if result.time_limits
        ]
        return (min(factors), max(factors)) if factors else None

    @property
    def slowdown(self) -> float:
        """How many times slower than when quiet this machine was when a run began, at most.

        1 where no run measured it.
        """
        limits = (result.time_limits for _, result in self.pairs)
        factors = [limit["default_factor"] for limit in limits if limit.get("how") == CALIBRATED]
        return max(factors, default=1.0)

    @property
    def closest(self) -> Mapping[str, Any] | None:
        """Of all runs, the time limit that came closest, with the run's seed."""
        closest = [
            {**result.time_limits["closest"], "seed": trial.seed}
            for trial, result in self.pairs
            if result.time_limits.get("closest")
        ]
        return max(closest, key=lambda usage: usage["share"], default=None)

    @cached_property
    def groups(self) -> list[FailureGroup]:
        return group_failures(self.pairs)

    @property
    def exit(self) -> Exit:
        """That of the worst ending; unknown when no run was finished."""
        return exit_of(self.counts or [Ending.INTERRUPTED])

    def to_json(self) -> dict[str, Any]:
        return {
            "scenario": self.scenario,
            "planned": self.planned,
            "made": self.made,
            "endings": {
                str(ending): Rate(count, self.made).to_json()
                for ending, count in self.counts.items()
            },
            "groups": [group.to_json() for group in self.groups],
            "jobs": self.jobs,
            "took_s": round(self.took_s, 3),
            "slowest_s": self.slowest_s,
            "allowed_s": self.limit_s,
            "time_limits": {"default_factor": self.time_limit_factors, "closest": self.closest},
        }


def text_of(summary: RepeatSummary) -> str:
    """The summary as text."""
    early = f" of {summary.planned}; ended early" if summary.made < summary.planned else ""
    lines = [
        f"{summary.scenario}: {summary.made} runs{early}, {summary.jobs} at a time, "
        f"{summary.took_s:.1f} s (slowest run {summary.slowest_s:.1f} s of {summary.limit_s:g} s "
        "allowed)"
    ]
    lines += time_limit_lines(summary)
    lines += [
        f"  {ending:<12}{n:>6}  {Rate(n, summary.made)}" for ending, n in summary.counts.items()
    ]
    if summary.groups:
        lines += ["", "WHERE RUNS FIRST WENT WRONG", *map(describe_group, summary.groups)]
    return "\n".join(lines)


def time_limit_lines(summary: RepeatSummary) -> list[str]:
    """The factors of kvsim's own time limits, and the limit that came closest, where known."""
    if summary.time_limit_factors is None:
        return []
    smallest, largest = summary.time_limit_factors
    factor = f"x{largest:g}" if smallest == largest else f"x{smallest:g} to x{largest:g}"
    usage = summary.closest
    closest = (
        f"; closest: {usage['what']} of {usage['of']} {usage['used_s']:.3g} of "
        f"{usage['allowed_s']:g} s (seed {usage['seed']})"
        if usage
        else ""
    )
    return [f"  time limits: kvsim's own {factor}{closest}"]
