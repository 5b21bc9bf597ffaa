"""One key as a register: the operations that happened or may have happened, in plain lists, ready to be
judged.

What certainly did not happen is left out (but refused values are remembered, in case somebody reads one),
and so are reads without an answer. A delete that found nothing is a read of "absent", and a compare-and-set
that was told which value it met is a read of that.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, MutableSequence
from dataclasses import dataclass, field

from kvsim.checks.consistency.linear.ruling import BEFORE
from kvsim.history.operations import (
    ABSENT,
    APPEND,
    CAS,
    CAS_MET,
    CAS_MISSED,
    DELETE_MISSED,
    GET,
    NEVER,
    PUT,
    REFUSED,
    UNKNOWN,
    Operations,
)

WRITES = frozenset({PUT, CAS, APPEND})
OBSERVATIONS = frozenset({GET, CAS_MET, CAS_MISSED, DELETE_MISSED})


@dataclass(eq=False)
class Register:
    """Operations of one key in parallel columns. `until` is the return time, NEVER when the outcome is
    unknown.

    Closed intervals: `a` comes before `b` exactly when until[a] < call[b]. `index` is each operation's
    place in the `Operations` it was made from; `refused` maps refused values to such places.
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
        self.call.append(call)
        self.until.append(until)
        self.kind.append(kind)
        self.value.append(value)
        self.expected.append(expected)
        self.index.append(index)

    def subset(self, positions: Iterable[int], loosened: frozenset[int] = frozenset()) -> Register:
        """The operations at `positions` alone; those `loosened` may have happened at any time, or never."""
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
    """The register of `operations`, all of one key; `initial` is the value number it starts with. Not to be
    added to.
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
            if kind in WRITES:
                register.refused.setdefault(value, index)
            continue
        if outcome == UNKNOWN:
            if kind in OBSERVATIONS:
                continue
            until = NEVER
        if kind == DELETE_MISSED:
            kind, value = GET, ABSENT
        elif kind == CAS_MET:
            kind = GET
        add(call, until, kind, value, expected, index)
    if len(register) == len(operations):
        register.index = range(
            len(register)
        )  # nothing was left out: the places are the same, and need no memory
    return register
