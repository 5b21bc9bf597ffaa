"""What `linearizable` reports of the keys that were found to be one copy, without a look at each.

A key that is one copy on all nodes is one on fewer: a read changes nothing, so leaving reads out of
a linearizable history keeps it linearizable. So the answers about all operations hold for the
operations that count as the leader's, which are all but some reads. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import compress

from msgspec import Struct, field

from kvsim.checks.consistency.masks import both, inverted, mask_of, mask_of_keys, rows_in
from kvsim.checks.linearizability.one_copy import METHODS
from kvsim.history.operations import CAS_MISSED, CHANGES_KEY, OBSERVES, UNKNOWN, Operations

MAYBE = frozenset({UNKNOWN})


class ProvedKeys(Struct, frozen=True):
    """Operations of proved keys that were both written and observed (`judged`), those of other
    proved keys (`untested`), and how many keys each decider proved. `other_rows` are the rows of
    all other keys.
    """

    judged: int = 0
    untested: int = 0
    methods: Mapping[str, int] = field(default_factory=dict)
    other_rows: Sequence[int] | None = None


def proved_keys(operations: Operations, one_copy: bytes, mask: bytes) -> ProvedKeys:
    """The proved keys among the operations in `mask`, which lacks only reads.

    `one_copy` is from `one_copy.one_copy_keys`. A key with a failed compare-and-set that did not
    name the value that it met is not proved by it.
    """
    answers = bytearray(one_copy)
    for key in set(compress(operations.key, mask_of(operations, frozenset({CAS_MISSED})))):
        answers[key] = 0
    counts = Counter(compress(operations.key, mask))
    written = _keys(operations, CHANGES_KEY, mask)
    observed = _keys(operations, OBSERVES, mask)
    judged = untested = 0
    methods = Counter[str]()
    for key, count in counts.items():
        if answers[key]:
            methods[METHODS[answers[key]]] += 1
            if key in written and key in observed:
                judged += count
            else:
                untested += count
    others = both(mask, mask_of_keys(operations, inverted(answers)))
    return ProvedKeys(judged, untested, methods, [*rows_in(others)])


def _keys(operations: Operations, kinds: frozenset[int], mask: bytes) -> set[int]:
    """The keys on which an operation in `mask` of one of `kinds` happened, or a write may have."""
    answered = both(mask, mask_of(operations, kinds))
    possible = both(mask, mask_of(operations, kinds & CHANGES_KEY, MAYBE))
    return {*compress(operations.key, answered), *compress(operations.key, possible)}
