"""Groups of equal failures: one program and scenario, the same ending, at the same step or check,
with the same symptom.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from kvsim.trials.trial import BAD, Ending, Trial, TrialResult

SEEDS_KEPT_MAX = 20
SEEDS_SHOWN_MAX = 5


class FailureGroup(Struct, frozen=True):
    """One kind of failure of one scenario: how often it came, the first seeds, the first trial."""

    scenario: str
    ending: Ending
    failed_at: str
    symptom: str
    count: int
    seeds: tuple[int, ...]
    trial: Trial
    first: TrialResult

    def to_json(self) -> dict[str, Any]:
        return {
            "scenario": self.scenario,
            "ending": str(self.ending),
            "failed_at": self.failed_at,
            "symptom": self.symptom,
            "count": self.count,
            "seeds": list(self.seeds),
            "repeat_command": self.first.repeat_command,
            "run": self.first.run,
        }


def group_failures(pairs: Iterable[tuple[Trial, TrialResult]]) -> list[FailureGroup]:
    """The failures by kind, the most frequent kind first.

    Passed, skipped and interrupted trials are left out.
    """
    kinds: dict[tuple[str, str, Ending, str, str], list[tuple[Trial, TrialResult]]] = {}
    for trial, result in pairs:
        if result.ending in BAD:
            program = trial.labels.get("program", "")
            kind = (program, trial.scenario, result.ending, result.failed_at, result.symptom)
            kinds.setdefault(kind, []).append((trial, result))
    groups = [
        FailureGroup(
            *kind[1:],
            count=len(found),
            seeds=tuple(trial.seed for trial, _ in found[:SEEDS_KEPT_MAX]),
            trial=found[0][0],
            first=found[0][1],
        )
        for kind, found in kinds.items()
    ]
    return sorted(groups, key=lambda group: (-group.count, group.scenario, group.failed_at))


def describe_group(group: FailureGroup) -> str:
    """Up to three lines about one group."""
    more = ", …" if group.count > SEEDS_SHOWN_MAX else ""
    seeds = ", ".join(map(str, group.seeds[:SEEDS_SHOWN_MAX])) + more
    recorded = f"; first recorded in {group.first.run}" if group.first.run else ""
    repeat_command = group.first.repeat_command
    lines = [
        f"{group.count:>5}x {group.ending:<8} {group.failed_at}: {group.symptom}",
        f"       again: {repeat_command}" if repeat_command else "",
        f"       seeds {seeds}{recorded}",
    ]
    return "\n".join(filter(None, lines))
