"""Points from results: the same results give the same points."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from msgspec import Struct

from kvsim.config.plan import GradingPlan, PlanItem
from kvsim.text import one_line, truncate
from kvsim.trials.trial import Ending, TrialResult

WHY_LENGTH_MAX = 60
WITHHELD = "This scenario is hidden; its messages are withheld."
WITH_VERDICT = frozenset({Ending.PASS, Ending.FAIL, Ending.UNKNOWN, Ending.INVALID})


class Score(Struct, frozen=True):
    """One submission's results of one scenario: one result for each run.

    `sandbox_texts`: what the sandbox adds to the submission's commands, in front and to their
    paths. They are not for the student.
    """

    item: PlanItem
    results: tuple[TrialResult, ...]
    sandbox_texts: tuple[str, ...] = ()

    @property
    def points(self) -> float:
        return points_for(self.item, self.results)

    @property
    def passed(self) -> int:
        return sum(result.ending is Ending.PASS for result in self.results)

    @property
    def complete(self) -> bool:
        """Whether every run was made, and kvsim itself gave a verdict on each."""
        errors = sum(result.ending is Ending.ERROR for result in self.results)
        return len(self.results) == self.item.runs_total and not errors

    @property
    def why(self) -> str:
        """Why it is not worth all points, in a few words: what went wrong first; empty if it is."""
        first = next((each for each in self.results if each.ending is not Ending.PASS), None)
        if first is not None:
            return reason_of(first)
        return "" if len(self.results) == self.item.runs_total else "not run"

    def describe(self) -> str:
        """What went wrong, one line for each kind, for the teacher."""
        lines = [
            f"{result.ending}: {result.failed_at}: {result.message}"
            for result in self.results
            if result.ending is not Ending.PASS
        ]
        summary = f"{self.passed} of {self.item.runs_total} runs passed"
        return "\n".join([summary, *dict.fromkeys(lines)])


class Grade(Struct, frozen=True):
    """One submission's scores.

    `trouble`: why it was not tried. `suspicions`: known stores found in it; with `zeroed` they
    cost all points.
    """

    submission: str
    scores: tuple[Score, ...]
    trouble: str = ""
    suspicions: tuple[str, ...] = ()
    zeroed: bool = False

    @property
    def total(self) -> float:
        return 0.0 if self.zeroed else round(sum(score.points for score in self.scores), 2)

    @property
    def why(self) -> str:
        """Why points are missing, in a few words: `roles: put at each follower: got ok`."""
        if self.trouble:
            return truncate(one_line(self.trouble.partition("\n")[0]).rstrip(":"), WHY_LENGTH_MAX)
        by_reason: dict[str, list[str]] = {}
        for score in self.scores:
            if score.why:
                by_reason.setdefault(score.why, []).append(score.item.name)
        return "; ".join(f"{', '.join(names)}: {why}" for why, names in by_reason.items())

    @property
    def complete(self) -> bool:
        return bool(self.trouble) or all(score.complete for score in self.scores)

    def to_json(self) -> dict[str, Any]:
        return {
            "submission": self.submission,
            "points": self.total,
            "complete": self.complete,
            "trouble": self.trouble,
            "suspicions": list(self.suspicions),
            "scenarios": [
                {
                    "scenario": score.item.name,
                    "points": score.points,
                    "of": score.item.points,
                    "why": score.why,
                    "runs": [result.to_json() for result in score.results],
                }
                for score in self.scores
            ],
        }


# Why a run that ended so is no pass; of the others, what went wrong first says it.
REASONS = {
    Ending.OVERTIME: "not ended in time",
    Ending.ERROR: "no verdict of kvsim",
    Ending.INTERRUPTED: "interrupted",
}
STEP = re.compile(r"step \S+ \((.*)\)")


def reason_of(result: TrialResult) -> str:
    """A short phrase for a run that did not pass: `put at each follower: got ok`."""
    if result.ending in REASONS:
        return REASONS[result.ending]
    # The first clause, without the node of a step, which its target names.
    clause = re.split(r"[;|]|(?<=\)): |, (?=and|which)", result.symptom)[0].strip()
    step = STEP.match(result.failed_at)
    if step:
        clause = f"{step[1]}: {clause.partition(': ')[2] or clause}"
    return truncate(clause or str(result.ending), WHY_LENGTH_MAX)


def points_for(item: PlanItem, results: Sequence[TrialResult]) -> float:
    """The points of one scenario.

    A run that was not made, did not end in time or gave no verdict is worth nothing.
    """
    shares = [_share(item.partial, result) for result in results]
    if item.partial == "none":
        all_passed = len(shares) == item.runs_total and all(share == 1.0 for share in shares)
        return float(item.points) if all_passed else 0.0
    return round(item.points * sum(shares) / item.runs_total, 2)


def _share(partial: str, result: TrialResult) -> float:
    if result.ending is Ending.PASS:
        return 1.0
    if partial != "steps" or result.ending not in WITH_VERDICT or not result.steps_total:
        return 0.0
    return result.steps_passed / result.steps_total


def grade_of(
    plan: GradingPlan,
    submission: str,
    results: Sequence[Sequence[TrialResult]],
    suspicions: Sequence[str],
    trouble: str = "",
    sandbox_texts: tuple[str, ...] = (),
) -> Grade:
    """The grade from the results: a list for each scenario, in the plan's order."""
    scores = tuple(
        Score(item, tuple(found), sandbox_texts)
        for item, found in zip(plan.items, results, strict=True)
    )
    shown = () if plan.known_store == "ignore" else tuple(dict.fromkeys(suspicions))
    zeroed = plan.known_store == "zero" and bool(shown)
    return Grade(submission, scores, trouble, shown, zeroed)
