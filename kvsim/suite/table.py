"""The table of a test, by subject, as text and as JUnit test cases. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvsim.report.junit import JunitCase
from kvsim.suite.by_subject import Observed, State, SuiteResult
from kvsim.suite.subjects import SUBJECTS
from kvsim.text import plural, truncate

REASONS_SHOWN = 4
FINDINGS_SHOWN = 5
LINES_SHOWN = 12
REASON_WIDTH = 150
LABELS = {
    State.HOLDS: "holds",
    State.BROKEN: "BROKEN",
    State.UNKNOWN: "not known",
    State.INVALID: "INVALID",
    State.NOT_EXERCISED: "not exercised",
}
BAD = (State.BROKEN, State.INVALID, State.UNKNOWN)


def table_lines(name: str, result: SuiteResult) -> Iterator[str]:
    """The table, without the last lines that state how long the test took."""
    yield f"{name}, by subject"
    yield ""
    for subject, question in SUBJECTS.items():
        state = result.state_of(subject)
        yield f"  {LABELS[state]:<14} {subject:<12} {question}"
        yield from _findings(result.of_subject(subject, *BAD))
        if state in (State.NOT_EXERCISED, State.HOLDS):
            yield from _reasons(result.reasons(subject), state)
    if result.warnings:
        yield ""
        yield "warnings"
        yield from (f"  {line}" for line in result.warnings)


def _findings(found: Sequence[Observed]) -> Iterator[str]:
    for one in found[:FINDINGS_SHOWN]:
        first, *rest = one.message.splitlines() or [""]
        label = "" if one.state is State.BROKEN else f"{LABELS[one.state]}: "
        yield f"      {label}{one.what} in {one.part}: {first}"
        yield from (f"        {line}" for line in rest[:LINES_SHOWN])
        if one.command:
            yield f"        again: {one.command}"
    if len(found) > FINDINGS_SHOWN:
        yield f"      (and {len(found) - FINDINGS_SHOWN} more)"


def _reasons(reasons: Sequence[str], state: State) -> Iterator[str]:
    shown = REASONS_SHOWN if state is State.NOT_EXERCISED else 0
    for reason in reasons[:shown]:
        yield f"      not run: {truncate(reason, REASON_WIDTH)}"
    more = len(reasons) - shown
    if more > 0 and not shown:
        yield f"      {plural(more, 'part')} of it not run; --json has the reasons"
    elif more > 0:
        yield f"      (and {more} more)"


def junit_cases(result: SuiteResult) -> Iterator[JunitCase]:
    """A test case for everything that was observed, and for every part that was not run."""
    words = {State.HOLDS: "pass", State.BROKEN: "fail", State.NOT_EXERCISED: "skipped"}
    for one in result.observed:
        message = "\n".join(filter(None, (one.message, one.command)))
        word = words.get(one.state, "unknown")
        yield JunitCase(one.subject, one.part, one.what or "run", word, message)
    for part in (*result.skipped, *result.not_reached):
        yield JunitCase(part.subject, part.name, "run", "skipped", part.skipped or "no time")
