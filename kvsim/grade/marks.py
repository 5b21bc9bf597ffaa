"""Points from results. Pure: the same results give the same points."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kvsim.config.plan import Item, Plan
from kvsim.trials.trial import Ending, Result

WITHHELD = "This scenario is hidden; its messages are withheld."
JUDGED = frozenset({Ending.PASS, Ending.FAIL, Ending.UNKNOWN, Ending.INVALID})


@dataclass(frozen=True)
class Mark:
    """What one scenario gave one submission. `results`: one a run."""

    item: Item
    results: tuple[Result, ...]

    @property
    def points(self) -> float:
        return points_for(self.item, self.results)

    @property
    def passed(self) -> int:
        return sum(result.ending is Ending.PASS for result in self.results)

    @property
    def whole(self) -> bool:
        """Every run was made, and kvsim itself gave a verdict on each."""
        return len(self.results) == self.item.wanted and all(
            one.ending is not Ending.ERROR for one in self.results
        )

    def said(self, *, to_teacher: bool) -> str:
        """What went wrong, a line a kind; for students nothing of a hidden scenario."""
        lines = [
            f"{result.ending}: {result.place}: {result.why}"
            for result in self.results
            if result.ending is not Ending.PASS
        ]
        if lines and self.item.hidden and not to_teacher:
            return WITHHELD
        summary = f"{self.passed} of {self.item.wanted} runs passed"
        return "\n".join([summary, *dict.fromkeys(lines)])


@dataclass(frozen=True)
class Grade:
    """One submission's marks. `trouble`: why it was not tried at all; `suspicions`: known stores seen inside; `zeroed` by one."""

    submission: str
    marks: tuple[Mark, ...]
    trouble: str = ""
    suspicions: tuple[str, ...] = ()
    zeroed: bool = False

    @property
    def total(self) -> float:
        return 0.0 if self.zeroed else round(sum(mark.points for mark in self.marks), 2)

    @property
    def complete(self) -> bool:
        return bool(self.trouble) or all(mark.whole for mark in self.marks)

    def to_json(self) -> dict[str, Any]:
        return {
            "submission": self.submission,
            "points": self.total,
            "complete": self.complete,
            "trouble": self.trouble,
            "suspicions": list(self.suspicions),
            "scenarios": [
                {
                    "scenario": mark.item.name,
                    "points": mark.points,
                    "of": mark.item.points,
                    "runs": [result.to_json() for result in mark.results],
                }
                for mark in self.marks
            ],
        }


def points_for(item: Item, results: Sequence[Result]) -> float:
    """The points of one scenario. A run that was not made, did not end in time or gave no verdict counts for nothing."""
    shares = [_share(item.partial, result) for result in results]
    if item.partial == "none":
        return (
            float(item.points)
            if len(shares) == item.wanted and all(share == 1.0 for share in shares)
            else 0.0
        )
    return round(item.points * sum(shares) / item.wanted, 2)


def _share(partial: str, result: Result) -> float:
    if result.ending is Ending.PASS:
        return 1.0
    if partial != "steps" or result.ending not in JUDGED or not result.asked:
        return 0.0
    return result.held / result.asked


def grade_of(
    plan: Plan,
    submission: str,
    results: Sequence[Sequence[Result]],
    suspicions: Sequence[str],
    trouble: str = "",
) -> Grade:
    """The grade from the results, a list for each scenario in the plan's order."""
    marks = tuple(Mark(item, tuple(found)) for item, found in zip(plan.items, results, strict=True))
    shown = () if plan.inside == "ignore" else tuple(dict.fromkeys(suspicions))
    return Grade(submission, marks, trouble, shown, zeroed=plan.inside == "zero" and bool(shown))
