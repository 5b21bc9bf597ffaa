"""Which keys of a history behave as one copy, by the exact deciders alone: what a "yes" implies
need not be computed again.

Says "yes" or nothing: reasons, proofs and searches are `decide`'s. Failed compare-and-sets that do
not name the value that they met are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import compress

from kvsim.checks.linearizability import all_keys_numpy, put_get, zones
from kvsim.checks.linearizability.register import register_of
from kvsim.history.operations import ABSENT, Operations

# The decider that said "yes", by its number in the answers. 0: none did.
METHODS = ("", "numpy", "columns", "zones")
BY_NUMPY, BY_COLUMNS, BY_ZONES = 1, 2, 3


def one_copy_keys(
    operations: Operations,
    initial: Mapping[int, int],
    *,
    use_numpy: bool,
    mask: bytes | None = None,
) -> bytes:
    """One byte a key number: which of METHODS found the key linearizable, 0 when none did.

    `initial` maps key numbers to the value numbers that they begin with (not there: absent).
    Operations that are 0 in `mask`, one byte a row, are left out.
    """
    if use_numpy:
        return all_keys_numpy.one_copy_keys(operations, initial, mask)
    if mask is not None:
        operations = operations.select([*compress(range(len(mask)), mask)])
    answers = bytearray(len(operations.keys))
    for key, rows in operations.rows_by_key().items():
        answers[key] = _decide(operations.of_key(key, rows), initial.get(key, ABSENT))
    return bytes(answers)


def _decide(operations: Operations, initial: int) -> int:
    linearizable = put_get.decide(operations, initial).linearizable
    if linearizable is not None:
        return BY_COLUMNS if linearizable else 0
    return BY_ZONES if zones.decide(register_of(operations, initial)).linearizable else 0
