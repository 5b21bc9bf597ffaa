"""The result of a selftest as a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec.structs import asdict

from kvsim.selftest.assess import GOOD, Assessment, AssessmentRow

LABELS = {
    Assessment.CAUGHT: "ok",
    Assessment.PASSED: "ok",
    Assessment.MISSED: "MISSED",
    Assessment.FALSE_ALARM: "FALSE ALARM",
    Assessment.NO_PROOF: "NO PROOF",
}
LABEL_WIDTH = max(map(len, LABELS.values()))


def all_good(bugs: Iterable[AssessmentRow], correct: Iterable[AssessmentRow]) -> bool:
    """Whether every bug was caught by its named check, and the correct store passed everything."""
    return all(row.result in GOOD for row in (*bugs, *correct))


def to_json(
    bugs: Sequence[AssessmentRow], correct: Sequence[AssessmentRow], seed: int
) -> dict[str, Any]:
    """Everything as plain values."""
    return {
        "verdict": "pass" if all_good(bugs, correct) else "fail",
        "seed": seed,
        "bugs": [_row_json(row) for row in bugs],
        "correct": [_row_json(row) for row in correct],
    }


def _row_json(row: AssessmentRow) -> dict[str, Any]:
    return {
        **asdict(row),
        "result": str(row.result),
        "others": list(row.others),
        "took_s": round(row.took_s, 3),
    }


def render(
    bugs: Sequence[AssessmentRow], correct: Sequence[AssessmentRow], seed: int, took_s: float
) -> str:
    """The tables: a row for each run, and below a row that is not good the reason and details."""
    parts = [f"kvsim selftest · seed {seed}"]
    if bugs:
        parts.append("PLANTED BUGS, and the check that caught each\n" + _bug_rows(bugs))
    if correct:
        parts.append("THE CORRECT STORE, through every scenario\n" + _correct_rows(correct))
    return "\n\n".join([*parts, _summary(bugs, correct, took_s)]) + "\n"


def _bug_rows(rows: Sequence[AssessmentRow]) -> str:
    name, scenario = _width(row.name for row in rows), _width(row.scenario for row in rows)
    return "\n".join(
        _with_details(
            f"  {_label(row)}  {_rate(row)}{row.name:<{name}}  {row.scenario:<{scenario}}  "
            f"{_caught_by(row)}",
            row,
        )
        for row in rows
    )


def _rate(row: AssessmentRow) -> str:
    """`19 of 20  `, where there were several seeds."""
    return f"{row.good:>3} of {row.runs:<3}  " if row.runs > 1 else ""


def _caught_by(row: AssessmentRow) -> str:
    also = f"; also {', '.join(row.others)}" if row.others else ""
    return (row.named if row.result is not Assessment.MISSED else f"not by {row.named}") + also


def _correct_rows(rows: Sequence[AssessmentRow]) -> str:
    return "\n".join(_with_details(f"  {_label(row)}  {_rate(row)}{row.name}", row) for row in rows)


def _label(row: AssessmentRow) -> str:
    return f"{LABELS[row.result]:<{LABEL_WIDTH}}"


def _width(texts: Iterable[str]) -> int:
    return max(map(len, texts), default=0)


def _with_details(line: str, row: AssessmentRow) -> str:
    if row.result in GOOD and (row.runs == 1 or row.good == row.runs):
        return line
    details = [
        ("bug", row.description),
        ("reason", row.reason),
        ("again", row.repeat_command),
        ("run", row.run_directory),
    ]
    indent = " " * (LABEL_WIDTH + 4)
    return "\n".join([line, *(f"{indent}{name:<10}  {text}" for name, text in details if text)])


def _summary(bugs: Sequence[AssessmentRow], correct: Sequence[AssessmentRow], took_s: float) -> str:
    caught = sum(row.result is Assessment.CAUGHT for row in bugs)
    passed = sum(row.result is Assessment.PASSED for row in correct)
    clauses = []
    if bugs:
        clauses.append(
            f"{caught} of {len(bugs)} planted bugs caught by the check that must catch them"
        )
    if correct:
        clauses.append(f"the correct store passed {passed} of {len(correct)} scenarios")
    verdict = "PASS" if all_good(bugs, correct) else "FAIL"
    return f"{'; '.join(clauses)} ({took_s:.1f}s)\nVERDICT: {verdict}"
