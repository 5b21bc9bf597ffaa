"""How old were the values that reads showed: in time and in versions, certainly and possibly?

With the leader's log: the next write of the key after the value read certainly was done at its
return, and possibly from its call on. So a read is stale for at least (its call − that return) and
at most (its return − that call). Versions count acknowledged later writes of the key that had
returned before the read was called. Without a log: the least shift of reads into the past that
makes a key linearizable (Golab, Li and Shah's Delta-atomicity, "Analyzing consistency properties
for fun and profit", 2011). Pure.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import compress

from msgspec import Struct
from msgspec.structs import replace

from kvsim.checks.consistency.case import ConsistencyCheck
from kvsim.checks.consistency.leader_log import LeaderLog
from kvsim.checks.consistency.masks import (
    ANY_OUTCOME,
    MAY_HAVE_HAPPENED,
    both,
    mask_of,
    mask_of_keys,
    mask_of_rows,
    rows_in,
)
from kvsim.checks.consistency.result import (
    ConsistencyResult,
    Violation,
    describe_request,
    make_result,
)
from kvsim.checks.linearizability.decision import Decision
from kvsim.checks.linearizability.least_shift import least_shift_ns
from kvsim.checks.linearizability.register import Register, register_of
from kvsim.checks.linearizability.zones import decide
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import (
    ABSENT,
    CHANGES_KEY,
    GET,
    OK,
    READS,
    WRITES_WHOLE_VALUE,
    Operations,
)

NAME = "staleness"
ABOUT = "reads show values that are not older than allowed"
NEVER_WRITTEN = "reads of keys that no client wrote"
NO_DELTA = "reads of keys that no staleness explains, or that cannot be decided"
TOO_MANY = "reads of big keys"
# Of one key: Delta-atomicity asks the decider some thirty times.
DELTA_OPERATIONS_MAX = 20_000


class ReadStaleness(Struct, frozen=True):
    """How stale the read at `row` was, in nanoseconds and versions; 0 is fresh."""

    row: int
    certain_ns: int
    possible_ns: int
    versions: int


def staleness(
    history: History,
    log: LeaderLog | None,
    rows: Sequence[int] | None = None,
    limit_ns: int | None = None,
    one_copy: bytes = b"",
) -> ConsistencyResult:
    """Measure the reads at `rows` (None: all); certainly older than `limit_ns` violate.

    `one_copy` has a byte a key number, not 0 for keys that are linearizable as one copy: of all
    rows, so of fewer reads, too.
    """
    if log is None:
        return _by_shift(history, rows, limit_ns, one_copy)
    measured = measure_reads(history, log, rows)
    findings = [
        _too_old(history, read, limit_ns)
        for read in measured
        if limit_ns is not None and read.certain_ns > limit_ns
    ]
    return make_result(
        NAME, ABOUT, len(measured), findings, unit="reads", measured=_summary(measured)
    )


def _too_old(history: History, read: ReadStaleness, limit_ns: int) -> Finding:
    operation = history.operations.operation(read.row)
    message = (
        f"{describe_request(history.operations, read.row)} showed a value that had been "
        f"overwritten for at least {read.certain_ns / 1e6:.1f} ms; "
        f"{limit_ns / 1e6:g} ms are allowed"
    )
    return Violation(message, node=operation.node or "", key=operation.key, rows=(read.row,))


def _summary(reads: Sequence[ReadStaleness]) -> dict[str, float | int | str | None]:
    if not reads:
        return {}
    return {
        "reads certainly stale": sum(read.certain_ns > 0 for read in reads),
        "certain staleness ms max": max(read.certain_ns for read in reads) / 1e6,
        "possible staleness ms max": max(read.possible_ns for read in reads) / 1e6,
        "versions behind max": max(read.versions for read in reads),
    }


def measure_reads(
    history: History, log: LeaderLog, rows: Sequence[int] | None = None
) -> list[ReadStaleness]:
    """The staleness of each answered read whose value the log has. A sweep, O(n log n)."""
    operations = history.operations
    writes = _write_rows(history)
    # key → positions of its acknowledged writes, so far in the sweep
    acknowledged: dict[int, list[int]] = defaultdict(list)
    found: list[ReadStaleness] = []
    for _, is_write, row in _events(operations, log, writes, rows):
        key, value = operations.key[row], operations.value[row]
        if is_write:
            insort(acknowledged[key], log.write_position(key, value) or 0)
            continue
        position = log.first_position(key, value)
        if position is not None and (key in log.of_key or key in log.initial):
            behind = acknowledged[key]
            versions = len(behind) - bisect_right(behind, position)
            age = _age(history, log, writes, row, position)
            found.append(ReadStaleness(row, *age, versions))
    return found


def _events(
    operations: Operations,
    log: LeaderLog,
    writes: dict[tuple[int, int], int],
    rows: Sequence[int] | None,
) -> list[tuple[int, int, int]]:
    """(time, is it a write?, row): calls of reads and returns of writes, in the order of time."""
    events: list[tuple[int, int, int]] = []
    reads = mask_of(operations, READS)
    if rows is not None:
        reads = both(reads, mask_of_rows(len(operations), rows))
    events += ((operations.call_ns[row], 0, row) for row in rows_in(reads))
    for (key, value), row in writes.items():
        if operations.outcome[row] == OK and log.write_position(key, value) is not None:
            events.append((operations.return_ns[row], 1, row))
    events.sort()
    return events


def _write_rows(history: History) -> dict[tuple[int, int], int]:
    """The row of each written (key, value) that is written once."""
    operations = history.operations
    rows: dict[tuple[int, int], int] = {}
    repeated: set[tuple[int, int]] = set()
    for row in rows_in(mask_of(operations, WRITES_WHOLE_VALUE, MAY_HAVE_HAPPENED)):
        written = operations.key[row], operations.value[row]
        if written in rows:
            repeated.add(written)
        rows[written] = row
    return {written: row for written, row in rows.items() if written not in repeated}


def _age(
    history: History,
    log: LeaderLog,
    writes: dict[tuple[int, int], int],
    row: int,
    position: int,
) -> tuple[int, int]:
    """For how long the value read had been overwritten: certainly and possibly, in nanoseconds."""
    operations = history.operations
    key = operations.key[row]
    following = log.next_write(key, position)
    if following is None:
        return 0, 0
    write = writes.get((key, following[1]))
    if write is None:
        return 0, 0
    known = operations.outcome[write] == OK
    certain = operations.call_ns[row] - operations.return_ns[write] if known else 0
    return max(0, certain), max(0, operations.return_ns[row] - operations.call_ns[write])


# Without a log.


def delta_ns(register: Register) -> int | None:
    """The least D >= 0 such that the register is linearizable if reads may have happened D earlier.

    None when no D explains it, or when the zones cannot decide the register.
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


def _by_shift(
    history: History, rows: Sequence[int] | None, limit_ns: int | None, one_copy: bytes
) -> ConsistencyResult:
    operations = history.operations if rows is None else history.operations.select(rows)
    judged, fresh_unwritten = _fresh_reads(history, operations, one_copy)
    worst = 0
    findings: list[Finding] = []
    unjudged = {NO_DELTA: 0, TOO_MANY: 0, NEVER_WRITTEN: fresh_unwritten}
    for key, part in _other_keys(operations, one_copy):
        reads = sum(map(part.kind.count, READS))
        if len(part) > DELTA_OPERATIONS_MAX:
            unjudged[TOO_MANY] += reads
            continue
        initial = history.initial_number(key)
        if initial == ABSENT and not any(map(part.kind.count, CHANGES_KEY)):
            unjudged[NEVER_WRITTEN] += reads
            continue
        delta = least_shift_ns(part, initial)
        if isinstance(delta, Decision):
            delta = delta_ns(register_of(part, initial))
        if delta is None:
            unjudged[NO_DELTA] += reads
            continue
        judged, worst = judged + reads, max(worst, delta)
        if limit_ns is not None and delta > limit_ns:
            name = operations.keys[key] or ""
            text = f"key {name!r}: reads are up to {delta / 1e6:.1f} ms old"
            findings.append(Violation(text, key=name))
    measured = {"certain staleness ms max": worst / 1e6} if judged else {}
    return make_result(
        NAME, ABOUT, judged, findings, unit="reads", unjudged=unjudged, measured=measured
    )


def _fresh_reads(history: History, operations: Operations, one_copy: bytes) -> tuple[int, int]:
    """How many reads of the keys in `one_copy` are fresh, and how many showed no client's write.

    On a key that is linearizable as it is, the least shift of its reads is 0.
    """
    if not any(one_copy):
        return 0, 0
    reads = both(mask_of(operations, READS, ANY_OUTCOME), mask_of_keys(operations, one_copy))
    written = {*compress(operations.key, mask_of(operations, CHANGES_KEY, ANY_OUTCOME))}
    fresh = unwritten = 0
    for key, count in Counter(compress(operations.key, reads)).items():
        if key in written or history.initial_number(key) != ABSENT:
            fresh += count
        else:
            unwritten += count
    return fresh, unwritten


def _other_keys(operations: Operations, one_copy: bytes) -> Iterator[tuple[int, Operations]]:
    """The keys that are not in `one_copy`, each with its operations."""
    if one_copy and all(one_copy):
        return
    for key, rows in operations.rows_by_key().items():
        if not (one_copy and one_copy[key]):
            yield key, operations.of_key(key, rows)


STALENESS = ConsistencyCheck(
    NAME,
    lambda case: staleness(
        case.history,
        case.leader_log,
        limit_ns=case.options.staleness_ns,
        one_copy=case.one_copy if case.leader_log is None else b"",
    ),
    order=80,
    demanded=lambda case: case.options.staleness_ns is not None,
)
