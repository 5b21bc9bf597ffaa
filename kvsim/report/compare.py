"""Two runs of one scenario, side by side: what each program did at each step, and where they first part. Pure; reads proofs only.

Outcomes are compared, not bytes: `+OK` and `OK` are the same answer in two languages.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from kvsim.checks.expectations import describe
from kvsim.evidence.proof import Claim, Proof
from kvsim.history.outcome import Outcome
from kvsim.history.record import StepRecord

WIDTH = 44
MARK = ">>>"
NOT_JUDGED = "not judged"


@dataclass(frozen=True)
class Row:
    """One step or check: what it is, and what either side did there."""

    what: str
    left: str
    right: str

    @property
    def same(self) -> bool:
        """What only one side could be judged by is shown, and is no difference in what they did."""
        return self.left == self.right or NOT_JUDGED in (self.left, self.right)


def rows(left: Proof, right: Proof) -> list[Row]:
    """Every step in order, then every check that either side's run could judge."""
    return [
        *_steps(left, right),
        *_checks(left, right),
        Row("verdict", str(left.verdict), str(right.verdict)),
    ]


def to_json(found: list[Row]) -> list[dict[str, object]]:
    return [{**asdict(row), "same": row.same} for row in found]


def text(names: tuple[str, str], found: list[Row]) -> str:
    """A table; the first row that differs is marked, later ones have a smaller mark."""
    lines = [_line("", "", names[0], names[1])]
    first = True
    for row in found:
        mark = "" if row.same else MARK if first else "  ~"
        first = first and row.same
        lines += _lines(mark, row)
    different = sum(not row.same for row in found)
    return "\n".join(
        [*lines, "", f"{different} of {len(found)} rows differ" if different else "no difference"]
    )


def _steps(left: Proof, right: Proof) -> Iterator[Row]:
    others = {step.id: step for step in right.steps}
    for step in left.steps:
        other = others.get(step.id)
        yield Row(_asked(step), _did(left, step), _did(right, other) if other else "did not come so far")
    known = {step.id for step in left.steps}
    for step in right.steps:
        if step.id not in known:
            yield Row(_asked(step), "did not come so far", _did(right, step))


def _asked(step: StepRecord) -> str:
    return f"{step.id} {step.verb} at {step.at}" if step.at else f"{step.id} {step.text}"


def _did(proof: Proof, step: StepRecord) -> str:
    """The last answer of each target, and how the step was judged."""
    last: dict[str, Claim] = {claim.node: claim for claim in proof.claims if claim.step == step.id}
    answers = [f"{node}: {_answer(claim)}" for node, claim in last.items()]
    return "; ".join([*answers, *([step.result] if step.result != "pass" or not answers else [])])


def _answer(claim: Claim) -> str:
    outcome = describe(Outcome.from_json({**claim.outcome, "detail": ""}))
    return outcome + (f", {claim.fate}" if claim.fate and claim.fate not in outcome else "")


def _checks(left: Proof, right: Proof) -> Iterator[Row]:
    others = {check.name: check.verdict for check in right.checks}
    for check in left.checks:
        other = others.get(check.name)
        if check.verdict or other:
            yield Row(check.name, str(check.verdict or NOT_JUDGED), str(other or NOT_JUDGED))


def _lines(mark: str, row: Row) -> Iterator[str]:
    """A row of the table, over as many lines as its longest cell takes."""
    cells = [_wrapped(text) for text in (row.what, row.left, row.right)]
    for at in range(max(map(len, cells))):
        yield _line(mark if at == 0 else "", *(cell[at] if at < len(cell) else "" for cell in cells))


def _wrapped(text: str) -> list[str]:
    import textwrap

    return textwrap.wrap(text, WIDTH) or [""]


def _line(mark: str, what: str, left: str, right: str) -> str:
    return f"{mark:<4}{what:<{WIDTH}}  {left:<{WIDTH}}  {right}".rstrip()
