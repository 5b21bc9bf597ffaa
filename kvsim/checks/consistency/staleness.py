"""How old were the values that reads showed: in time and in versions, certainly and possibly. Pure.

With the leader's log: the next write of the key after the value read certainly was done at its return and
possibly from its call on; so a read is stale for at least (its call − that return) and at most (its return
− that call). Versions count acknowledged later writes of the key that had returned before the read was
called. Without a log: the least shift of reads into the past that makes a key linearizable (Golab, Li and
Shah's Delta-atomicity, "Analyzing consistency properties", 2011).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from kvsim.checks.consistency.answer import Answer, Violation, answer, whom
from kvsim.checks.consistency.clusters import WRITES
from kvsim.checks.consistency.linear import columns
from kvsim.checks.consistency.linear.register import Register, register_of
from kvsim.checks.consistency.linear.zones import decide
from kvsim.checks.consistency.order import Order
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import ABSENT, CAS, DELETE_MISSED, GET, OK, PUT, REFUSED

NAME = "staleness"
ABOUT = "reads show values that are not older than allowed"
NEVER_WRITTEN = "reads of keys that nobody wrote"
DELTA_OPERATIONS_MAX = 20_000  # of one key; Delta-atomicity asks the decider some thirty times


@dataclass(frozen=True)
class Stale:
    """How stale one read was. Nanoseconds and versions; 0 is fresh."""

    row: int
    certain_ns: int
    possible_ns: int
    versions: int


def staleness(
    history: History, order: Order | None, rows: Sequence[int] | None = None, limit_ns: int | None = None
) -> Answer:
    """Measure the reads at `rows` (None: all); those certainly older than `limit_ns` are violations when it
    is given.
    """
    if order is None:
        return _by_shift(history, rows, limit_ns)
    measured = stale_reads(history, order, rows)
    findings: list[Finding] = []
    for one in measured:
        if limit_ns is not None and one.certain_ns > limit_ns:
            findings.append(_too_old(history, one, limit_ns))
    return answer(NAME, ABOUT, len(measured), findings, unit="reads", measured=_summary(measured))


def _too_old(history: History, one: Stale, limit_ns: int) -> Finding:
    operation = history.operations.operation(one.row)
    message = (
        f"{whom(history.operations, one.row)} showed a value that had been overwritten for at least "
        f"{one.certain_ns / 1e6:.1f} ms; {limit_ns / 1e6:g} ms are allowed"
    )
    return Violation(message, node=operation.node or "", key=operation.key, rows=(one.row,))


def _summary(reads: Sequence[Stale]) -> dict[str, float | int]:
    if not reads:
        return {}
    return {
        "reads certainly stale": sum(one.certain_ns > 0 for one in reads),
        "certain staleness ms max": max(one.certain_ns for one in reads) / 1e6,
        "possible staleness ms max": max(one.possible_ns for one in reads) / 1e6,
        "versions behind max": max(one.versions for one in reads),
    }


def stale_reads(history: History, order: Order, rows: Sequence[int] | None = None) -> list[Stale]:
    """The staleness of every answered read whose value the log has. One sweep in time, O(n log n)."""
    operations = history.operations
    writes = _write_rows(history)
    events: list[tuple[int, int, int]] = []
    for row in range(len(operations)) if rows is None else rows:
        if operations.outcome[row] == OK and operations.kind[row] in (GET, DELETE_MISSED):
            events.append((operations.call_ns[row], 0, row))
    for (key, value), row in writes.items():
        position = order.position(key, value)
        if operations.outcome[row] == OK and position is not None:
            events.append((operations.return_ns[row], 1, row))
    events.sort()
    acknowledged: dict[int, list[int]] = defaultdict(list)  # key → positions of its acknowledged writes
    found: list[Stale] = []
    for _, is_write, row in events:
        key, value = operations.key[row], operations.value[row]
        if is_write:
            insort(acknowledged[key], order.position(key, value) or 0)
            continue
        place = order.first(key, ABSENT if operations.kind[row] == DELETE_MISSED else value)
        if place is not None and (key in order.of_key or key in order.initial):
            behind = acknowledged[key]
            versions = len(behind) - bisect_right(behind, place)
            found.append(Stale(row, *_age(history, order, writes, row, place), versions))
    return found


def _write_rows(history: History) -> dict[tuple[int, int], int]:
    """The row of each written (key, value) that is written once."""
    operations = history.operations
    rows: dict[tuple[int, int], int] = {}
    twice: set[tuple[int, int]] = set()
    for row, (kind, outcome) in enumerate(zip(operations.kind, operations.outcome, strict=True)):
        if kind in (PUT, CAS) and outcome != REFUSED:
            what = operations.key[row], operations.value[row]
            if what in rows:
                twice.add(what)
            rows[what] = row
    return {what: row for what, row in rows.items() if what not in twice}


def _age(
    history: History, order: Order, writes: dict[tuple[int, int], int], row: int, place: int
) -> tuple[int, int]:
    """For how long the value read had been overwritten: certainly, and possibly, in nanoseconds."""
    operations = history.operations
    key = operations.key[row]
    following = order.next_write(key, place)
    if following is None:
        return 0, 0
    write = writes.get((key, following[1]))
    if write is None:
        return 0, 0
    known = operations.outcome[write] == OK
    certain = operations.call_ns[row] - operations.return_ns[write] if known else 0
    return max(0, certain), max(0, operations.return_ns[row] - operations.call_ns[write])


# without a log


def delta_ns(register: Register) -> int | None:
    """The least D >= 0 such that the register is linearizable when every read may have happened D earlier.

    None when no D explains it, or when the register is outside the exact class.
    """

    def fits(delta: int) -> bool:
        calls = [
            call - delta if kind == GET else call
            for call, kind in zip(register.call, register.kind, strict=True)
        ]
        return decide(replace(register, call=calls)).linearizable is True

    if fits(0):
        return 0
    low, high = 0, max(register.call, default=0) - min(register.call, default=0) + 1
    if not fits(high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


def _by_shift(history: History, rows: Sequence[int] | None, limit_ns: int | None) -> Answer:
    operations = history.operations if rows is None else history.operations.select(rows)
    judged, worst = 0, 0
    findings: list[Finding] = []
    unjudged = {
        "reads of keys that no staleness explains, or that cannot be decided": 0,
        "reads of big keys": 0,
        NEVER_WRITTEN: 0,
    }
    for key, its_rows in operations.rows_by_key().items():
        part = operations.of_key(key, its_rows)
        reads = part.kind.count(GET) + part.kind.count(DELETE_MISSED)
        if len(part) > DELTA_OPERATIONS_MAX:
            unjudged["reads of big keys"] += reads
            continue
        initial = history.initial_number(key)
        if initial == ABSENT and not any(map(part.kind.count, WRITES)):
            unjudged[NEVER_WRITTEN] += reads
            continue
        fresh = columns.decide(part, initial).linearizable
        delta = 0 if fresh else delta_ns(register_of(part, initial))
        if delta is None:
            unjudged["reads of keys that no staleness explains, or that cannot be decided"] += reads
            continue
        judged, worst = judged + reads, max(worst, delta)
        if limit_ns is not None and delta > limit_ns:
            name = operations.keys[key] or ""
            findings.append(Violation(f"key {name!r}: reads are up to {delta / 1e6:.1f} ms old", key=name))
    measured = {"certain staleness ms max": worst / 1e6} if judged else {}
    return answer(NAME, ABOUT, judged, findings, unit="reads", unjudged=unjudged, measured=measured)
