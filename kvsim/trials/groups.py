"""Failures that are the same failure, put together: same ending, same place, same words. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kvsim.trials.trial import BAD, Ending, Result, Trial

SHOWN_MAX = 20


@dataclass(frozen=True)
class Group:
    """One kind of failure of one scenario: what is common, how often it came, and its first trial."""

    scenario: str
    ending: Ending
    place: str
    what: str
    count: int
    seeds: tuple[int, ...]  # of the first few
    trial: Trial  # the first
    first: Result

    def to_json(self) -> dict[str, Any]:
        return {
            "scenario": self.scenario,
            "ending": str(self.ending),
            "place": self.place,
            "what": self.what,
            "count": self.count,
            "seeds": list(self.seeds),
            "again": self.first.again,
            "run": self.first.run,
        }


def grouped(pairs: Iterable[tuple[Trial, Result]]) -> list[Group]:
    """What went wrong, by kind, the most frequent first. Passed, skipped and interrupted trials are left out."""
    kinds: dict[tuple[str, Ending, str, str], list[tuple[Trial, Result]]] = {}
    for trial, result in pairs:
        if result.ending in BAD:
            kinds.setdefault((trial.scenario, result.ending, result.place, result.what), []).append(
                (trial, result)
            )
    groups = [
        Group(*kind, len(found), tuple(trial.seed for trial, _ in found[:SHOWN_MAX]), *found[0])
        for kind, found in kinds.items()
    ]
    return sorted(groups, key=lambda group: (-group.count, group.scenario, group.place))


def described(group: Group) -> str:
    """Three lines about one group, for people."""
    seeds = ", ".join(map(str, group.seeds[:5])) + (", …" if group.count > 5 else "")
    lines = [
        f"{group.count:>5}x {group.ending:<8} {group.place}: {group.what}",
        f"       again: {group.first.again}" if group.first.again else "",
        f"       seeds {seeds}" + (f"; first recorded in {group.first.run}" if group.first.run else ""),
    ]
    return "\n".join(filter(None, lines))
