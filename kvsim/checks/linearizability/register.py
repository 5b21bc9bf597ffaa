"""One key as a register: the operations that happened or may have happened, in parallel columns.

What certainly did not happen is left out (but refused values are kept aside, in case a client reads
one), and so are reads without an answer. A delete that found nothing is a read of "absent", and a
failed compare-and-set whose answer named the value it met is a read of that value.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, MutableSequence

from msgspec import Struct, field

from kvsim.checks.linearizability.decision import BEFORE
from kvsim.history.operations import (
    ABSENT,
    GET,
    NEVER,
    ONLY_OBSERVES,
    READS,
    REFUSED,
    UNKNOWN,
    WRITES_VALUE,
    Operations,
)


class Register(Struct, eq=False):
    """Operations of one key in parallel columns, indexed by position.

    `until` is the return time, NEVER when the outcome is unknown. The intervals are closed: `a`
    comes before `b` exactly when until[a] < call[b]. `index` is each operation's index in the
    `Operations` it was made from; `refused` maps refused values to such indexes.
    """

    call: MutableSequence[int] = field(default_factory=lambda: array("q"))
    until: MutableSequence[int] = field(default_factory=lambda: array("q"))
    kind: MutableSequence[int] = field(default_factory=lambda: array("b"))
    value: MutableSequence[int] = field(default_factory=lambda: array("q"))
    expected: MutableSequence[int] = field(default_factory=lambda: array("q"))
    index: MutableSequence[int] | range = field(default_factory=lambda: array("q"))
    refused: dict[int, int] = field(default_factory=dict)
    initial: int = ABSENT

    def __len__(self) -> int:
        return len(self.call)

    def add(self, call: int, until: int, kind: int, value: int, expected: int, index: int) -> None:
        """Append one operation. Raises TypeError for a register made by `register_of`."""
        if isinstance(self.index, range):
            raise TypeError("operations cannot be added to a register that was made of operations")
        self.call.append(call)
        self.until.append(until)
        self.kind.append(kind)
        self.value.append(value)
        self.expected.append(expected)
        self.index.append(index)

    def subset(self, positions: Iterable[int], loosened: frozenset[int] = frozenset()) -> Register:
        """The operations at `positions`; the `loosened` ones happened at any time, or never."""
        part = Register(refused=self.refused, initial=self.initial)
        for at in positions:
            loose = at in loosened
            part.add(
                BEFORE if loose else self.call[at],
                NEVER if loose else self.until[at],
                self.kind[at],
                self.value[at],
                self.expected[at],
                at,
            )
        return part


def register_of(operations: Operations, initial: int = ABSENT) -> Register:
    """The register of `operations`, all of one key, which starts with value number `initial`.

    Operations cannot be added to it.
    """
    register = Register(initial=initial)
    add = register.add
    columns = zip(
        operations.call_ns,
        operations.return_ns,
        operations.kind,
        operations.value,
        operations.expected,
        operations.outcome,
        strict=True,
    )
    for index, (call, until, kind, value, expected, outcome) in enumerate(columns):
        if outcome == REFUSED:
            if kind in WRITES_VALUE:
                register.refused.setdefault(value, index)
            continue
        if outcome == UNKNOWN:
            if kind in ONLY_OBSERVES:
                continue
            until = NEVER
        if kind in READS:
            kind = GET
        add(call, until, kind, value, expected, index)
    # Nothing was left out: the indexes are the positions, and need no memory.
    if len(register) == len(operations):
        register.index = range(len(register))
    return register
