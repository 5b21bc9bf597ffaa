"""Is every acknowledged write still there? By the leader's log, else by what was read at the end.

With a log: each value of a key is in it as often as its writes were acknowledged, and at most as
often as they may have happened (more often means that a retry was applied twice). With final reads:
an acknowledged put is lost when it must have come after the value found at the end, because it was
called after every write of that value had certainly happened. Later writes hide losses, so keys
that are written once show most. What a program says that a power cut may take of its last writes is
not lost. Pure.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from operator import gt

from kvsim.checks.consistency.ascii_timeline import draw_first_timelines
from kvsim.checks.consistency.case import ConsistencyCheck
from kvsim.checks.consistency.leader_log import LeaderLog
from kvsim.checks.consistency.masks import ANY_OUTCOME, mask_of, rows_in
from kvsim.checks.consistency.result import (
    ConsistencyResult,
    Violation,
    describe_request,
    make_result,
)
from kvsim.checks.subject import Subject
from kvsim.checks.verdict import Finding
from kvsim.history.history import History
from kvsim.history.operations import (
    ABSENT,
    APPEND,
    CHANGES_OTHERWISE,
    DELETE,
    NEVER,
    OK,
    REFUSED,
    SHOWS_VALUE,
    UNKNOWN,
    WRITES_WHOLE_VALUE,
    Operations,
)

NAME = "lost_writes"
ABOUT = "no acknowledged write is lost, and none is applied twice"
NOT_IDENTIFIED = "acknowledged deletes and appends, which the log does not identify"
NO_FINAL = "writes of keys that no node read at the end"
# Above every time, and above NEVER.
ABOVE_ALL_TIMES = 2 * NEVER
NOT_ANSWERED = frozenset({UNKNOWN})
MAY_BE_TAKEN = "writes just before a power cut, which may take them by what the program guarantees"
MAY_BE_HIDDEN = "writes that a later one may have replaced"


def lost_writes(
    history: History, log: LeaderLog | None, power_loses_ns: int = 0
) -> ConsistencyResult:
    """Judge all acknowledged writes: by the log where there is one, else by the final reads.

    Of the writes that were acknowledged within `power_loses_ns` before a power cut, each may be
    lost.
    """
    taken = may_be_taken(history, power_loses_ns)
    return _by_log(history, log, taken) if log is not None else _by_final_reads(history, taken)


def may_be_taken(history: History, power_loses_ns: int) -> frozenset[int]:
    """The rows of acknowledged writes that a power cut may have taken."""
    if not power_loses_ns:
        return frozenset()
    spans = [
        (fault.began_ns - power_loses_ns, fault.ended_ns)
        for fault in history.faults
        if fault.traits.cuts_power
    ]
    operations = history.operations
    return frozenset(
        row
        for row in rows_in(mask_of(operations, WRITES_WHOLE_VALUE))
        if any(begin <= operations.return_ns[row] <= end for begin, end in spans)
    )


def _by_log(history: History, log: LeaderLog, taken: frozenset[int]) -> ConsistencyResult:
    operations = history.operations
    findings: list[Violation] = []
    # (key, value) → rows of the acknowledged writes, and how many others may have happened.
    acknowledged: dict[tuple[int, int], list[int]] = defaultdict(list)
    possible: Counter[tuple[int, int]] = Counter()
    answered = mask_of(operations, WRITES_WHOLE_VALUE)
    for row in rows_in(answered):
        if row in taken:
            possible[operations.key[row], operations.value[row]] += 1
        else:
            acknowledged[operations.key[row], operations.value[row]].append(row)
    for row in rows_in(mask_of(operations, WRITES_WHOLE_VALUE, NOT_ANSWERED)):
        possible[operations.key[row], operations.value[row]] += 1
    for written, rows in acknowledged.items():
        count = len(log.positions.get(written, ()))
        if not len(rows) <= count <= len(rows) + possible[written]:
            findings += _wrong_count(history, rows, count, possible[written])
    findings.sort(key=_first_row)
    unjudged = {
        NOT_IDENTIFIED: mask_of(operations, CHANGES_OTHERWISE).count(1),
        MAY_BE_TAKEN: len(taken),
    }
    return make_result(
        NAME,
        ABOUT,
        answered.count(1) - len(taken),
        [*findings],
        unit="acknowledged writes",
        unjudged=unjudged,
    )


def _first_row(finding: Violation) -> int:
    return finding.rows[0]


def _wrong_count(
    history: History, rows: Sequence[int], count: int, possible: int
) -> Iterator[Violation]:
    """The findings about the acknowledged writes of one value that is in the log `count` times."""
    if count == 0:
        for row in rows:
            request = describe_request(history.operations, row)
            message = f"acknowledged {request} is not in the leader's log"
            yield _finding(history, row, message)
        return
    request = describe_request(history.operations, rows[-1])
    message = f"acknowledged {request} is in the leader's log {count} times"
    if len(rows) + possible > 1:
        message += f", but {len(rows)} writes of that value were acknowledged"
    if possible:
        message += f" and {possible} more may have happened"
    yield _finding(history, rows[-1], message, proof=rows[:-1])


def _finding(
    history: History, row: int, message: str, timeline: str = "", proof: Sequence[int] = ()
) -> Violation:
    operation = history.operations.operation(row)
    return Violation(
        message,
        node=operation.node or "",
        key=operation.key,
        rows=(row, *proof),
        timeline=timeline,
    )


def _by_final_reads(history: History, taken: frozenset[int]) -> ConsistencyResult:
    operations = history.operations
    finals = _final_values(history)
    findings: list[Finding] = []
    puts = mask_of(operations, WRITES_WHOLE_VALUE)
    if not finals:
        unjudged = {NO_FINAL: puts.count(1)}
        return make_result(NAME, ABOUT, 0, findings, unit="acknowledged writes", unjudged=unjudged)
    of_key = Counter(compress(operations.key, puts))
    decisive = _decisive_rows(operations, finals)
    late = _late_puts(history, finals, decisive, puts)
    judged, unjudged = 0, {NO_FINAL: 0, MAY_BE_HIDDEN: 0, MAY_BE_TAKEN: 0}
    for key, count in of_key.items():
        if key not in finals:
            unjudged[NO_FINAL] += count
            continue
        present = sum(puts[row] and operations.value[row] in finals[key] for row in decisive[key])
        judged += present
        unjudged[MAY_BE_HIDDEN] += count - present
    for key in sorted(late, key=operations.key.index):
        rows = sorted({*decisive[key], *late[key]})
        lost = set.intersection(
            *(set(lost_by_final_read(history, rows, final)) for final in finals[key])
        )
        for row in sorted(lost - taken):
            findings.append(_lost(history, row, rows, finals[key], len(findings)))
        judged += len(lost - taken)
        unjudged[MAY_BE_HIDDEN] -= len(lost)
        unjudged[MAY_BE_TAKEN] += len(lost & taken)
    return make_result(NAME, ABOUT, judged, findings, unit="acknowledged writes", unjudged=unjudged)


def _decisive_rows(operations: Operations, finals: Mapping[int, set[int]]) -> dict[int, list[int]]:
    """Key number → the operations that decide what a final value of it settles: those with that
    value, deletes and appends.
    """
    found: dict[int, list[int]] = {key: [] for key in finals}
    values = set().union(*finals.values())
    with_value = rows_in(bytes(map(values.__contains__, operations.value)))
    others = rows_in(mask_of(operations, CHANGES_OTHERWISE, ANY_OUTCOME))
    for row in sorted({*with_value, *others}):
        if operations.key[row] in found:
            found[operations.key[row]].append(row)
    return found


def _late_puts(
    history: History,
    finals: Mapping[int, set[int]],
    decisive: Mapping[int, Sequence[int]],
    puts: bytes,
) -> dict[int, list[int]]:
    """Key number → the rows in `puts` that were called after all its final values had settled."""
    operations = history.operations
    limits = [ABOVE_ALL_TIMES] * len(operations.keys)
    for key, values in finals.items():
        settled = [_settled_ns(history, key, decisive[key], value) for value in values]
        times = [time for time in settled if time is not None]
        if len(times) == len(values):
            limits[key] = max(times)
    limit_of_put = map(limits.__getitem__, compress(operations.key, puts))
    is_late = bytes(map(gt, compress(operations.call_ns, puts), limit_of_put))
    found: dict[int, list[int]] = defaultdict(list)
    for row in compress(rows_in(puts), is_late):
        found[operations.key[row]].append(row)
    return found


def _final_values(history: History) -> dict[int, set[int]]:
    """Key number → the value numbers that nodes showed for it at the end."""
    operations = history.operations
    finals: dict[int, set[int]] = defaultdict(set)
    keys = operations.keys.find(final.key for final in history.finals)
    values = operations.values.find(final.value for final in history.finals)
    for final in history.finals:
        finals[keys[final.key]].add(values[final.value])
    return finals


def lost_by_final_read(history: History, rows: Sequence[int], final: int) -> list[int]:
    """Rows of acknowledged puts that must come after `final`, the value number found at the end.

    `rows` are all operations of one key. When the key was absent at the end, these are the puts
    that no delete can have come after.
    """
    operations = history.operations
    settled = _settled_ns(history, operations.key[rows[0]], rows, final) if rows else None
    if settled is None:
        return []
    return [
        row
        for row in rows
        if operations.kind[row] in WRITES_WHOLE_VALUE
        and operations.outcome[row] == OK
        and operations.value[row] != final
        and operations.call_ns[row] > settled
    ]


def _settled_ns(history: History, key: int, rows: Sequence[int], final: int) -> int | None:
    """The time after which a put of `key` that is called comes after `final`.

    None when nothing follows from the final value: no client wrote it, or it may be joined from
    appends. Where one write alone can have written it, a read that showed it settles it, too.
    """
    operations = history.operations
    may_have_happened = [row for row in rows if operations.outcome[row] != REFUSED]
    if final == ABSENT:
        writes = [row for row in may_have_happened if operations.kind[row] == DELETE]
    elif any(operations.kind[row] == APPEND for row in may_have_happened):
        return None
    else:
        writes = [
            row
            for row in may_have_happened
            if operations.kind[row] in WRITES_WHOLE_VALUE and operations.value[row] == final
        ]
    was_initial = final == history.initial_number(key)
    if not writes:
        return -NEVER if was_initial or final == ABSENT else None
    if len(writes) == 1 and not was_initial and final != ABSENT:
        shown = [
            operations.return_ns[row]
            for row in rows
            if operations.outcome[row] == OK
            and operations.kind[row] in SHOWS_VALUE
            and operations.value[row] == final
        ]
    else:
        shown = []
    return min([max(_certain_ns(operations, row) for row in writes), *shown])


def _certain_ns(operations: Operations, row: int) -> int:
    """When a write had certainly happened: its return, or NEVER."""
    return operations.return_ns[row] if operations.outcome[row] == OK else NEVER


def _lost(
    history: History, row: int, rows: Sequence[int], finals: set[int], number: int
) -> Finding:
    operations = history.operations
    values = [operations.values[value] for value in sorted(finals)]
    final = " and ".join("nothing" if value is None else repr(value) for value in values)
    proof = sorted(
        (
            other
            for other in rows
            if operations.value[other] in finals and operations.outcome[other] == OK
        ),
        key=operations.return_ns.__getitem__,
    )[:1]
    timeline = draw_first_timelines(history, [*proof, row], number)
    message = (
        f"acknowledged {describe_request(operations, row)} is lost: "
        f"at the end the key holds {final}, which came before"
    )
    return _finding(history, row, message, timeline, proof)


LOST_WRITES = ConsistencyCheck(
    NAME,
    lambda case: lost_writes(case.history, case.leader_log, case.options.power_loses_ns),
    order=30,
    subject=Subject.DURABILITY,
)
