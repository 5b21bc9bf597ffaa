"""Two runs of one scenario, side by side: what each program did at each step, and where they first
differ. Reads proofs only.

Outcomes are compared, not bytes: `+OK` and `OK` are the same answer in two protocols.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from msgspec import Struct

from kvsim.checks.expectations import describe
from kvsim.history.outcome import Outcome
from kvsim.history.run_record import StepRecord
from kvsim.proof.proof import Claim, Proof
from kvsim.structs import to_dict

WIDTH = 44
FIRST_DIFFERENCE = ">>>"
LATER_DIFFERENCE = "  ~"
NOT_JUDGED = "not judged"


class ComparisonRow(Struct, frozen=True):
    """One step or check: what it is, and the result of each side."""

    what: str
    left: str
    right: str

    @property
    def same(self) -> bool:
        """A check that judged only one side is not a difference."""
        return self.left == self.right or NOT_JUDGED in (self.left, self.right)


def comparison_rows(left: Proof, right: Proof) -> list[ComparisonRow]:
    """Every step in order, then every check that judged a side, then the verdict."""
    return [
        *_steps(left, right),
        *_checks(left, right),
        ComparisonRow("verdict", str(left.verdict), str(right.verdict)),
    ]


def to_json(rows: list[ComparisonRow]) -> list[dict[str, object]]:
    return [{**to_dict(row), "same": row.same} for row in rows]


def render(names: tuple[str, str], rows: list[ComparisonRow]) -> str:
    """A table. The first row that differs has one marker, later rows another."""
    lines = [_line("", "", names[0], names[1])]
    marker = FIRST_DIFFERENCE
    for row in rows:
        lines += _lines("" if row.same else marker, row)
        marker = marker if row.same else LATER_DIFFERENCE
    different = sum(not row.same for row in rows)
    total = f"{different} of {len(rows)} rows differ" if different else "no difference"
    return "\n".join([*lines, "", total])


def _steps(left: Proof, right: Proof) -> Iterator[ComparisonRow]:
    lefts = {step.id: step for step in left.steps}
    rights = {step.id: step for step in right.steps}
    for id, step in {**lefts, **rights}.items():
        yield ComparisonRow(
            _describe(step), _result(left, lefts.get(id)), _result(right, rights.get(id))
        )


def _describe(step: StepRecord) -> str:
    return f"{step.id} {step.verb} at {step.at}" if step.at else f"{step.id} {step.text}"


def _result(proof: Proof, step: StepRecord | None) -> str:
    """The last answer of each target, and the step's result where it did not pass."""
    if step is None:
        return "not reached"
    last = {claim.node: claim for claim in proof.claims if claim.step == step.id}
    parts = [f"{node}: {_answer(claim)}" for node, claim in last.items()]
    if step.result != "pass" or not parts:
        parts.append(step.result)
    return "; ".join(parts)


def _answer(claim: Claim) -> str:
    outcome = describe(Outcome.from_json({**claim.outcome, "detail": ""}))
    return outcome + (f", {claim.effect}" if claim.effect and claim.effect not in outcome else "")


def _checks(left: Proof, right: Proof) -> Iterator[ComparisonRow]:
    others = {check.name: check.verdict for check in right.checks}
    for check in left.checks:
        other = others.get(check.name)
        if check.verdict or other:
            yield ComparisonRow(
                check.name, str(check.verdict or NOT_JUDGED), str(other or NOT_JUDGED)
            )


def _lines(marker: str, row: ComparisonRow) -> Iterator[str]:
    """A row of the table, over as many lines as its longest cell needs."""
    cells = [textwrap.wrap(text, WIDTH) for text in (row.what, row.left, row.right)]
    for index in range(max(1, *map(len, cells))):
        texts = (cell[index] if index < len(cell) else "" for cell in cells)
        yield _line("" if index else marker, *texts)


def _line(marker: str, what: str, left: str, right: str) -> str:
    return f"{marker:<4}{what:<{WIDTH}}  {left:<{WIDTH}}  {right}".rstrip()
