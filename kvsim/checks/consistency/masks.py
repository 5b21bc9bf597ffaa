"""Rows by kind and outcome: masks of one byte a row, made by C code of Python itself.

A mask is `bytes` of 0 and 1. `itertools.compress` reads columns through it, `mask.count(1)` counts
its rows. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from itertools import compress

from kvsim.history.operations import OK, REFUSED, UNKNOWN, Operations

ANSWERED = frozenset({OK})
ANY_OUTCOME = frozenset({OK, REFUSED, UNKNOWN})
MAY_HAVE_HAPPENED = frozenset({OK, UNKNOWN})


def mask_of(
    operations: Operations, kinds: frozenset[int], outcomes: frozenset[int] = ANSWERED
) -> bytes:
    """1 for each row with one of `kinds` and one of `outcomes`."""
    of_kind = operations.kind.tobytes().translate(_table(kinds))
    of_outcome = operations.outcome.tobytes().translate(_table(outcomes))
    return both(of_kind, of_outcome)


def both(one: bytes | bytearray, other: bytes | bytearray) -> bytes:
    """The mask of the rows that are in two masks of equal length."""
    common = int.from_bytes(one, "little") & int.from_bytes(other, "little")
    return common.to_bytes(len(one), "little")


def inverted(flags: bytes | bytearray) -> bytes:
    """1 for each byte that is 0, and 0 for all others."""
    return bytes(flags).translate(_INVERSION)


def added(one: bytes, other: bytes | bytearray) -> bytes:
    """The sums of two columns of bytes. Each sum must be below 256."""
    total = int.from_bytes(one, "little") + int.from_bytes(other, "little")
    return total.to_bytes(len(one), "little")


def mask_of_rows(count: int, rows: Iterable[int]) -> bytes:
    """1 for each of `rows`, among `count` rows."""
    if isinstance(rows, range) and len(rows) == count:
        return b"\1" * count
    mask = bytearray(count)
    for row in rows:
        mask[row] = 1
    return bytes(mask)


def mask_of_keys(operations: Operations, flags: bytes | bytearray) -> bytes:
    """1 for each row whose key has a flag; `flags` has one byte a key number, 0 for none."""
    if all(flags) or not any(flags):
        return bytes([any(flags)]) * len(operations)
    return bytes(map(bytes(map(bool, flags)).__getitem__, operations.key))


def shown_values(operations: Operations) -> bytes:
    """1 for each row whose value is not "absent"."""
    return bytes(map(bool, operations.value))


def rows_in(mask: bytes) -> Iterator[int]:
    """The rows of `mask`, in order."""
    return compress(range(len(mask)), mask)


@cache
def _table(numbers: frozenset[int]) -> bytes:
    return bytes(number in numbers for number in range(256))


_INVERSION = bytes([1, *[0] * 255])
