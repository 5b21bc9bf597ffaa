"""What a consistency check returns: the values of `kvsim.checks.verdict`, and what is added here.

A check reports what it judged and how much, what it could not judge and why, and what it measured.
Values only.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field

from kvsim.checks.verdict import CheckResult, Finding, Verdict
from kvsim.history.operations import Operations

# Characters of a value in a message.
VALUE_SHOWN_MAX = 40
# Of one check; the others are counted.
FINDINGS_MAX = 20

# Reasons that several checks give for what they cannot judge.
NEVER_WRITTEN = "operations on keys that no client wrote"
NO_INCARNATION = "reads whose node is not known, or during which it was killed or restarted"

Measured = Mapping[str, float | int | str | None]


class ReportedLogLine(Struct, frozen=True):
    """A line of a node's log. `at_s`: when it had been read, in seconds since the run began.

    `file` is its path in the run directory, `line` its number there, from 1.
    """

    at_s: float
    node: str
    file: str
    line: int
    text: str


class Violation(Finding, frozen=True):
    """A finding about operations: rows of the history, in call order, and the key they are about.

    `positions` are positions in the leader's log, parallel to `rows` (None: no write or read, or
    not in the log once); empty without a log. `blocked` is the row of the operation that cannot
    happen beside the others (None: not known). `timeline` shows the operations as text, empty when
    it was not drawn. `logs` are lines that the nodes logged meanwhile, by time, and `logs_left`
    names the nodes that logged more, or nothing; both are empty where no logs are at hand.
    """

    key: str = ""
    rows: tuple[int, ...] = ()
    positions: tuple[int | None, ...] = ()
    blocked: int | None = None
    timeline: str = ""
    logs: tuple[ReportedLogLine, ...] = ()
    logs_left: str = ""


class Unjudged(Struct, frozen=True):
    """How many of the things that a check is about it could not judge, and why."""

    count: int
    why: str


class ConsistencyResult(CheckResult, frozen=True):
    """One check's result. `unit` is what `judged` counts; `found` counts all findings.

    With `measures_only` the program does not guarantee this: findings are reported and do not make
    the run fail.
    """

    unit: str = "operations"
    unjudged: tuple[Unjudged, ...] = ()
    measured: Measured = field(default_factory=dict)
    found: int = 0
    measures_only: bool = False

    @property
    def verdict(self) -> Verdict | None:
        """None when the check was not exercised, or when it only measures."""
        if self.measures_only:
            return None
        return super().verdict


def make_result(
    name: str,
    about: str,
    judged: int,
    findings: list[Finding],
    *,
    unit: str = "operations",
    unjudged: Mapping[str, int] | None = None,
    measured: Measured | None = None,
    found: int | None = None,
) -> ConsistencyResult:
    """A result that keeps the first findings and counts all; `unjudged` maps reasons to counts.

    `found` counts all findings where only the first were made.
    """
    left = tuple(Unjudged(count, why) for why, count in (unjudged or {}).items() if count)
    kept = tuple(findings[:FINDINGS_MAX])
    found = len(findings) if found is None else found
    return ConsistencyResult(
        name, about, judged, kept, unit=unit, unjudged=left, measured=measured or {}, found=found
    )


def describe_operation(operations: Operations, row: int) -> str:
    """An operation as text: `get → 'v7'`, `put('v7')`, `cas(absent → 'v7')`; `?` when unknown."""
    operation = operations.operation(row)
    value, expected = describe_value(operation.value), describe_value(operation.expected)
    text = {
        "get": f"get → {value}",
        "put": f"put({value})",
        "append": f"append({value})",
        "delete": "delete",
        "delete_missed": "delete → not found",
        "cas": f"cas({expected} → {value})",
        "cas_missed": f"cas({expected} → {value}) → not {expected}",
        "cas_met": f"cas({expected} → …) → met {value}",
    }[operation.kind]
    if operation.outcome == "refused":
        return f"{text} (refused)"
    return text + ("?" if operation.outcome == "unknown" else "")


def describe_request(operations: Operations, row: int) -> str:
    """An operation with its client and node: `get → 'v7' by client 3 at n2`."""
    operation = operations.operation(row)
    at = f" at {operation.node}" if operation.node else ""
    return f"{describe_operation(operations, row)} by client {operation.process}{at}"


def describe_value(value: str | None) -> str:
    """A value as text; of a long one the beginning, the end and the length."""
    if value is None:
        return "absent"
    if len(value) <= VALUE_SHOWN_MAX:
        return repr(value)
    half = VALUE_SHOWN_MAX // 2
    return f"{value[:half]!r}…{value[-half:]!r} ({len(value):,} characters)"
