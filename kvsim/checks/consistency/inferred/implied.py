"""What `infer` reports of a history in which every key is one copy: counts, and nothing found.

A history whose keys are linearizable has an order of all its operations that fits real time and
explains every read (Herlihy and Wing, 1990: per key is enough). That order is a witness for each
guarantee: its writes have an order that the leader's operations allow; a read that was called
after another one returned stands behind it, whatever node served it, so no node and no client goes
back; a client's operations have the order in which it made them, because each began after the
one before had returned. So there is no cycle, and no read misses a write that had completed before
what was shown earlier: only how much was judged is left to count. This does not hold for a client
that made two requests at once: `infer` computes what follows from the order of its calls. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import compress

from kvsim.checks.consistency.incarnations import Incarnations
from kvsim.checks.consistency.masks import (
    MAY_HAVE_HAPPENED,
    both,
    inverted,
    mask_of,
    shown_values,
)
from kvsim.history.history import History
from kvsim.history.operations import ABSENT, CHANGES_KEY, DELETE, NOWHERE, Operations

# What `infer` does with the operations of a key.
JUDGED, OUTSIDE, NEVER_WRITTEN, DELETED = range(4)


def groups_of(history: History) -> dict[int, bytes]:
    """JUDGED, OUTSIDE, … → the mask of the rows with it; of a history whose keys are one copy.

    Linearizable by exact deciders, so no key has appends or a value written twice.
    """
    operations = history.operations
    count = len(operations.keys)
    group_of_key = bytearray([NEVER_WRITTEN]) * count
    for key in _keys(operations, CHANGES_KEY):
        group_of_key[key] = JUDGED
    # Of keys with deletes, only operations on values are judged.
    for key in _keys(operations, frozenset({DELETE})):
        group_of_key[key] = DELETED
    for name in history.initial:
        if name in operations.keys.numbers:
            key = operations.keys.numbers[name]
            if history.initial_number(key) != ABSENT:
                group_of_key[key] = OUTSIDE
    used = set(group_of_key)
    if len(used) == 1 and DELETED not in used:
        return {used.pop(): b"\1" * len(operations)}
    groups = bytes(map(group_of_key.__getitem__, operations.key))
    masks = {group: groups.translate(_equals(group)) for group in used}
    if DELETED in masks:
        with_deletes, values = masks[DELETED], shown_values(operations)
        on_values = int.from_bytes(both(with_deletes, values), "little")
        judged = int.from_bytes(masks.get(JUDGED, b""), "little") | on_values
        masks[JUDGED] = judged.to_bytes(len(operations), "little")
        masks[DELETED] = both(with_deletes, inverted(values))
    return masks


def shown_before(
    operations: Operations, reads: Iterable[int], incarnations: Incarnations
) -> tuple[int, int]:
    """How many of `reads` were called after their node's incarnation had shown something, and how
    many are of a node or incarnation that is not known.
    """
    first_shown: dict[tuple[int, int], int] = {}
    calls: dict[tuple[int, int], list[int]] = {}
    unknown = 0
    nodes, call_ns, return_ns = operations.node, operations.call_ns, operations.return_ns
    for row in reads:
        node, returned = nodes[row], return_ns[row]
        number = incarnations.of(node, call_ns[row], returned)
        if node == NOWHERE or number is None:
            unknown += 1
            continue
        origin = node, number
        calls.setdefault(origin, []).append(call_ns[row])
        if returned < first_shown.get(origin, returned + 1):
            first_shown[origin] = returned
    judged = sum(
        sum(map(first_shown[origin].__lt__, its_calls)) for origin, its_calls in calls.items()
    )
    return judged, unknown


def _keys(operations: Operations, kinds: frozenset[int]) -> set[int]:
    return {*compress(operations.key, mask_of(operations, kinds, MAY_HAVE_HAPPENED))}


def _equals(number: int) -> bytes:
    return bytes(byte == number for byte in range(256))
