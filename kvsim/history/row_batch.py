"""Operations of a text file, added in batches: in whole columns, as long as nothing is unusual.

The result is that of `Operations.add`, one row after the other, in a third of its time. A batch in
which any row is unusual (another type, an unknown kind, a time out of range) is added row by row,
so each mistake has its own line and message.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from operator import gt
from typing import Any

from kvsim.history.operations import (
    ABSENT,
    EXPECTS,
    KIND_NUMBERS,
    KINDS,
    NEVER,
    NOWHERE,
    OK,
    OUTCOME_NUMBERS,
    OUTCOMES,
    READS,
    UNKNOWN,
    VALUELESS,
    Operations,
)
from kvsim.history.typed_values import QUOTE, encode

# With more, they leave the cache of the processor before they are added.
BATCH_ROWS = 64
INTEGER, TEXT, NOTHING = int, str, type(None)
# Of the columns of a row that is not unusual.
TYPES: tuple[frozenset[type], ...] = (
    frozenset({INTEGER}),
    frozenset({INTEGER, NOTHING}),
    frozenset({INTEGER}),
    frozenset({TEXT}),
    frozenset({TEXT}),
    frozenset({TEXT, NOTHING}),
    frozenset({TEXT, NOTHING}),
    frozenset({TEXT}),
    frozenset({TEXT, NOTHING}),
)
UNKNOWN_NAME = OUTCOMES[UNKNOWN]
# (kind, outcome) by name → whether the value of such an operation has a meaning.
VALUE_HAS_MEANING = {
    (kind, outcome): number not in VALUELESS and (number not in READS or outcome == OUTCOMES[OK])
    for kind, number in KIND_NUMBERS.items()
    for outcome in OUTCOMES
}
EXPECTING_KINDS = frozenset(KINDS[kind] for kind in EXPECTS)

# All calls, returns, processes, keys, kinds, values, expected values, outcomes and nodes of some
# operations: as the arguments of `add`, the keys and the values as the file has them.
Columns = Sequence[Sequence[Any]]


class _Memo(dict[Any, int]):
    """Something → its number, which `number` gives when it is asked for first."""

    def __init__(self, number: Callable[[Any], int]) -> None:
        self.number = number

    def __missing__(self, item: Any) -> int:
        self[item] = number = self.number(item)
        return number


class _TableNumbers:
    """The numbers of the keys and nodes of a file: there are few, and they come again and again."""

    def __init__(self, operations: Operations) -> None:
        self.keys = _Memo(lambda key: operations.keys.number(encode(key) or ""))
        self.nodes = _Memo(operations.nodes.number)
        self.nodes[None] = NOWHERE


def add_in_batches(
    operations: Operations,
    numbered: Iterable[tuple[int, Any]],
    columns_of: Callable[[Sequence[Any]], Columns | None],
    add_one: Callable[[int, Any], None],
) -> None:
    """Add all entries of a file, each with its line.

    `columns_of` makes columns of many entries; None: one of them is unusual. `add_one` adds one
    entry with all its checks, and raises the errors.
    """
    numbers, ahead = _TableNumbers(operations), iter(numbered)
    while batch := list(itertools.islice(ahead, BATCH_ROWS)):
        columns = columns_of([entry for _, entry in batch])
        if columns is None or not _add_columns(operations, columns, numbers):
            for line, entry in batch:
                add_one(line, entry)


def _add_columns(operations: Operations, columns: Columns, numbers: _TableNumbers) -> bool:
    """Add all rows, or none of them when one is unusual; whether they were added."""
    if not all(map(_has_types, columns, TYPES)):
        return False
    calls, returns, processes, keys, kinds, values, expected, outcomes, nodes = columns
    kinds_and_outcomes = set(zip(kinds, outcomes, strict=True))
    if (
        not kinds_and_outcomes <= VALUE_HAS_MEANING.keys()
        or not _are_times(calls, returns, outcomes)
        or min(processes) < -NEVER
        or max(processes) >= NEVER
    ):
        return False
    if not all(map(VALUE_HAS_MEANING.__getitem__, kinds_and_outcomes)):
        values = [
            value if VALUE_HAS_MEANING[kind, outcome] else None
            for kind, outcome, value in zip(kinds, outcomes, values, strict=True)
        ]
    if EXPECTING_KINDS.isdisjoint(kinds):
        expected_numbers: Iterable[int] = [ABSENT] * len(kinds)
    else:
        expected_numbers = operations.values.numbers_of(
            encode(value) if kind in EXPECTING_KINDS else None
            for kind, value in zip(kinds, expected, strict=True)
        )
    operations.call_ns.extend(calls)
    if None in returns:
        returns = [NEVER if end is None else end for end in returns]
    operations.return_ns.extend(returns)
    operations.process.extend(processes)
    operations.node.extend(map(numbers.nodes.__getitem__, nodes))
    operations.key.extend(map(numbers.keys.__getitem__, keys))
    operations.kind.extend(map(KIND_NUMBERS.__getitem__, kinds))
    operations.value.extend(operations.values.numbers_of(_encoded(values)))
    operations.expected.extend(expected_numbers)
    operations.outcome.extend(map(OUTCOME_NUMBERS.__getitem__, outcomes))
    return True


def _has_types(column: Sequence[Any], allowed: frozenset[type]) -> bool:
    return set(map(type, column)) <= allowed


def _encoded(values: Sequence[str | None]) -> Iterable[str | None]:
    """What `encode` makes of each value."""
    if None in values:
        return map(encode, values)
    texts: Sequence[Any] = values
    return map(QUOTE.__add__, texts) if "".join(texts).isascii() else map(encode, texts)


def _are_times(
    calls: Sequence[int], returns: Sequence[int | None], outcomes: Sequence[str]
) -> bool:
    """Whether all calls and returns are in order and in range; only an unknown one has no end."""
    ends: Sequence[Any] = returns
    if None in returns:
        ends = [call if end is None else end for call, end in zip(calls, returns, strict=True)]
        if any(
            end is None and outcome != UNKNOWN_NAME
            for end, outcome in zip(returns, outcomes, strict=True)
        ):
            return False
    return min(calls) >= -NEVER and max(ends) < NEVER and not any(map(gt, calls, ends))
