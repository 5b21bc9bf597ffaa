"""What a consistency check answers: the common values of `kvsim.checks.verdict`, and what these checks have
to add.

Values only. A check says what it judged and how much, what it could not judge and why, and what it measured
on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kvsim.checks.verdict import CheckResult, Finding, Verdict
from kvsim.history.operations import Operations

FINDINGS_KEPT = 20  # of one check; the rest is counted


@dataclass(frozen=True)
class LogLine:
    """A line of a node's log: by when it had been seen (seconds since the run began), whose, where, and its text."""

    at_s: float
    node: str
    file: str
    line: int
    text: str


@dataclass(frozen=True)
class Violation(Finding):
    """A finding that names operations: rows of the history, in call order, and the key they are about.

    `positions` are places in the leader's log, where known, parallel to `rows` (None: not in it, or no
    write or read). `picture` is the timeline as text, empty when there is none. `logs` are lines that the
    nodes wrote meanwhile, in the order of time, and `logs_left` says of which nodes there are more, or none;
    both are empty where no logs are at hand.
    """

    key: str = ""
    rows: tuple[int, ...] = ()
    positions: tuple[int | None, ...] = ()
    picture: str = ""
    logs: tuple[LogLine, ...] = ()
    logs_left: str = ""


@dataclass(frozen=True)
class Unjudged:
    """How many of the things a check is about it could not judge, and why."""

    count: int
    why: str


@dataclass(frozen=True)
class Answer(CheckResult):
    """One check's answer. `unit` says what `judged` counts; `found` counts findings, also those not kept.

    With `measures_only` the program does not promise this: what was found is told, and does not make the
    run fail.
    """

    unit: str = "operations"
    unjudged: tuple[Unjudged, ...] = ()
    measured: Mapping[str, float | int | str | None] = field(default_factory=dict)
    found: int = 0
    measures_only: bool = False

    @property
    def verdict(self) -> Verdict | None:
        """None when it was not exercised, or when nothing was promised."""
        if self.measures_only:
            return None
        return super().verdict


def answer(
    name: str,
    about: str,
    judged: int,
    findings: list[Finding],
    *,
    unit: str = "operations",
    unjudged: Mapping[str, int] | None = None,
    measured: Mapping[str, float | int | str | None] | None = None,
) -> Answer:
    """An Answer that keeps the first findings and counts them all; `unjudged` maps reasons to counts."""
    left = tuple(Unjudged(count, why) for why, count in (unjudged or {}).items() if count)
    kept = tuple(findings[:FINDINGS_KEPT])
    return Answer(name, about, judged, kept, unit, left, measured or {}, len(findings))


def plural(count: int, noun: str) -> str:
    """`1 read`, `2 reads`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def name_operation(operations: Operations, row: int) -> str:
    """An operation in the words of a sentence: `get → 'v7'`, `put('v7')`, `cas(absent → 'v7')`; `?` when
    unknown.
    """
    operation = operations.operation(row)
    value, expected = _value(operation.value), _value(operation.expected)
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


def whom(operations: Operations, row: int) -> str:
    """Who did it: `get → 'v7' by client 3 at n2`."""
    operation = operations.operation(row)
    at = f" at {operation.node}" if operation.node else ""
    return f"{name_operation(operations, row)} by client {operation.process}{at}"


def _value(value: str | None) -> str:
    return "absent" if value is None else repr(value)
