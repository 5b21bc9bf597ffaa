"""What many runs of one scenario say together: rates with their confidence, groups of failures, time used. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from kvsim.errors import Exit
from kvsim.limits import CALIBRATED
from kvsim.trials.groups import Group, described, grouped
from kvsim.trials.rates import Rate
from kvsim.trials.trial import BAD, Ending, Result, Trial, exit_of

Pairs = Sequence[tuple[Trial, Result]]


@dataclass(frozen=True)
class Summary:
    """The runs that were made. `wanted` counts those that were asked for; `limit_s` is what each was allowed."""

    scenario: str
    pairs: Pairs
    wanted: int
    jobs: int
    limit_s: float
    took_s: float

    @cached_property
    def counts(self) -> Mapping[Ending, int]:
        """How often each ending came, without the interrupted, which say nothing."""
        seen = Counter(result.ending for _, result in self.pairs if result.ending is not Ending.INTERRUPTED)
        return {ending: seen[ending] for ending in Ending if seen[ending]}

    @property
    def made(self) -> int:
        return sum(self.counts.values())

    @property
    def bad(self) -> int:
        return sum(count for ending, count in self.counts.items() if ending in BAD)

    @property
    def mixed(self) -> bool:
        """Some passed and some did not: the case in which machine and store have to be told apart."""
        return 0 < self.bad < self.made

    @property
    def slowest_s(self) -> float:
        return max((result.took_s for _, result in self.pairs), default=0.0)

    @property
    def stretched(self) -> tuple[float, float] | None:
        """The least and the most that kvsim's own time limits were stretched in a run."""
        factors = [result.limits["own"] for _, result in self.pairs if result.limits]
        return (min(factors), max(factors)) if factors else None

    @property
    def slow(self) -> float:
        """How many times as slow as a quiet machine this one was found at most, when a run began; 1 where nothing was measured."""
        told = [result.limits for _, result in self.pairs if result.limits.get("how") == CALIBRATED]
        return max((limits["own"] for limits in told), default=1.0)

    @property
    def closest(self) -> Mapping[str, Any] | None:
        """Of all runs, the time limit of which the greatest share was used, with the run's seed."""
        told = [
            {**result.limits["closest"], "seed": trial.seed}
            for trial, result in self.pairs
            if result.limits.get("closest")
        ]
        return max(told, key=lambda one: one["share"], default=None)

    @cached_property
    def groups(self) -> list[Group]:
        return grouped(self.pairs)

    @property
    def exit(self) -> Exit:
        """The worst ending's; unfinished is unknown, unless a failure was seen."""
        unfinished = {Ending.INTERRUPTED: 1} if not self.made else {}
        return exit_of({**self.counts, **unfinished})

    def to_json(self) -> dict[str, Any]:
        return {
            "scenario": self.scenario,
            "wanted": self.wanted,
            "made": self.made,
            "endings": {
                str(ending): Rate(count, self.made).to_json() for ending, count in self.counts.items()
            },
            "groups": [group.to_json() for group in self.groups],
            "jobs": self.jobs,
            "took_s": round(self.took_s, 3),
            "slowest_s": self.slowest_s,
            "allowed_s": self.limit_s,
            "time_limits": {"own": self.stretched, "closest": self.closest},
        }


def text_of(summary: Summary) -> str:
    """The summary for people."""
    cut = f" of {summary.wanted}; ended early" if summary.made < summary.wanted else ""
    lines = [
        f"{summary.scenario}: {summary.made} runs{cut}, {summary.jobs} at a time, {summary.took_s:.1f} s "
        f"(slowest run {summary.slowest_s:.1f} s of {summary.limit_s:g} s allowed)"
    ]
    lines += limit_lines(summary)
    lines += [f"  {ending:<12}{n:>6}  {Rate(n, summary.made)}" for ending, n in summary.counts.items()]
    if summary.groups:
        lines += ["", "WHERE RUNS FIRST WENT WRONG", *map(described, summary.groups)]
    return "\n".join(lines)


def limit_lines(summary: Summary) -> list[str]:
    """How far time limits were stretched, and the one that came closest; nothing where no run says so."""
    if summary.stretched is None:
        return []
    least, most = summary.stretched
    factor = f"x{most:g}" if least == most else f"x{least:g} to x{most:g}"
    one = summary.closest
    near = (
        f"; closest: {one['what']} of {one['of']} {one['used_s']:.3g} of {one['allowed_s']:g} s (seed {one['seed']})"
        if one
        else ""
    )
    return [f"  time limits: kvsim's own {factor}{near}"]
