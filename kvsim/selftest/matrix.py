"""The result of a selftest: a matrix for people, JSON for machines. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kvsim.selftest.judge import GOOD, Result, Row

MARKS = {
    Result.CAUGHT: "ok",
    Result.PASSED: "ok",
    Result.MISSED: "MISSED",
    Result.FALSE_ALARM: "FALSE ALARM",
    Result.NO_PROOF: "NO PROOF",
}
MARK_WIDTH = max(map(len, MARKS.values()))


def all_good(bugs: Sequence[Row], correct: Sequence[Row]) -> bool:
    """Whether every bug was caught by its named check, and the correct store passed everything."""
    return all(row.result in GOOD for row in (*bugs, *correct))


def to_json(bugs: Sequence[Row], correct: Sequence[Row], seed: int) -> dict[str, Any]:
    """Everything as plain values."""
    return {
        "verdict": "pass" if all_good(bugs, correct) else "fail",
        "seed": seed,
        "bugs": [_row_json(row) for row in bugs],
        "correct": [_row_json(row) for row in correct],
    }


def _row_json(row: Row) -> dict[str, Any]:
    return {
        **vars(row),
        "result": str(row.result),
        "others": list(row.others),
        "took_s": round(row.took_s, 3),
    }


def render(bugs: Sequence[Row], correct: Sequence[Row], seed: int, took_s: float) -> str:
    """The matrix: one row a run, and below a row that is not good, why and how to see it again."""
    parts = [f"kvsim selftest · seed {seed}"]
    if bugs:
        parts.append("PLANTED BUGS, and which check caught each\n" + _bug_rows(bugs))
    if correct:
        parts.append("THE CORRECT STORE, through every scenario\n" + _correct_rows(correct))
    return "\n\n".join([*parts, _summary(bugs, correct, took_s)]) + "\n"


def _bug_rows(rows: Sequence[Row]) -> str:
    name, scenario = _width(row.name for row in rows), _width(row.scenario for row in rows)
    return "\n".join(
        _with_why(
            f"  {_mark(row)}  {_rate(row)}{row.name:<{name}}  {row.scenario:<{scenario}}  {_caught_by(row)}",
            row,
        )
        for row in rows
    )


def _rate(row: Row) -> str:
    """`19 of 20  `, where there were several seeds."""
    return f"{row.good:>3} of {row.runs:<3}  " if row.runs > 1 else ""


def _caught_by(row: Row) -> str:
    also = f"; also {', '.join(row.others)}" if row.others else ""
    return (row.named if row.result is not Result.MISSED else f"not by {row.named}") + also


def _correct_rows(rows: Sequence[Row]) -> str:
    return "\n".join(_with_why(f"  {_mark(row)}  {_rate(row)}{row.name}", row) for row in rows)


def _mark(row: Row) -> str:
    return f"{MARKS[row.result]:<{MARK_WIDTH}}"


def _width(texts) -> int:
    return max(map(len, texts), default=0)


def _with_why(line: str, row: Row) -> str:
    if row.result in GOOD and (row.runs == 1 or row.good == row.runs):
        return line
    told = [("what it is", row.says), ("why", row.why), ("again", row.again), ("run", row.run_directory)]
    indent = " " * (MARK_WIDTH + 4)
    return "\n".join([line, *(f"{indent}{name:<10}  {text}" for name, text in told if text)])


def _summary(bugs: Sequence[Row], correct: Sequence[Row], took_s: float) -> str:
    caught = sum(row.result is Result.CAUGHT for row in bugs)
    passed = sum(row.result is Result.PASSED for row in correct)
    told = [f"{caught} of {len(bugs)} planted bugs caught by the check that must catch them"] if bugs else []
    told += [f"the correct store passed {passed} of {len(correct)} scenarios"] if correct else []
    return f"{'; '.join(told)} ({took_s:.1f}s)\nVERDICT: {'PASS' if all_good(bugs, correct) else 'FAIL'}"
