"""Puts that name a version, as MIT's 6.5840 has them since 2025, as compare-and-sets of a register.

A key has a value and a version, which is 0 while it is not there and rises by 1 with every put. A
put happens only when it names the current version. So a version is never there twice, and a key
holds one (value, version) after another: a register of such pairs, on which a put with version n is
a compare-and-set from the pair of version n. Which value that pair has, the history tells: that of
the put that was acknowledged, or else that a read showed. Where neither is known, it is that of the
earliest put that may have happened: any order that another one explains, it explains, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct, field

from kvsim.history.typed_values import encode, shown

OK, NO_KEY, MET_OTHER, MAYBE = "OK", "ErrNoKey", "ErrVersion", "ErrMaybe"
# What may have been answered, by operation.
ANSWERS = {"get": (OK, NO_KEY, MAYBE), "put": (OK, NO_KEY, MET_OTHER, MAYBE)}


class VersionedOperation(NamedTuple):
    """A get or a put. `version` is the one that a get returned, or that a put named.

    `returned` None: no answer. `answer` is one of ANSWERS.
    """

    line: int
    call: int
    returned: int | None
    client: int
    kind: str
    value: object
    version: int
    answer: str


class RegisterOperation(NamedTuple):
    """The same as an operation of a register; `value` and `expected` are encoded."""

    kind: str
    value: str | None
    expected: str | None
    outcome: str


class VersionedKey(Struct):
    """The operations of one key, in the order of the file."""

    operations: list[VersionedOperation] = field(default_factory=list)

    def as_register(self) -> Iterator[tuple[VersionedOperation, RegisterOperation]]:
        """Each operation with what it is on the register of pairs."""
        values = self._values()
        for operation in self.operations:
            yield operation, _translate(operation, values)

    def _values(self) -> Mapping[int, object]:
        """The value of each version of which something is known."""
        acknowledged: dict[int, object] = {}
        read: dict[int, object] = {}
        possible: dict[int, tuple[int, object]] = {}
        for operation in self.operations:
            made = operation.version + 1
            if operation.answer == MAYBE:
                if operation.kind == "put":
                    candidate = operation.call, operation.value
                    known = possible.get(made)
                    if known is None or candidate[0] < known[0]:
                        possible[made] = candidate
            elif operation.answer == OK and operation.kind == "put":
                acknowledged.setdefault(made, operation.value)
            elif operation.answer == OK:
                read.setdefault(operation.version, operation.value)
        return {
            **{version: value for version, (_, value) in possible.items()},
            **read,
            **acknowledged,
        }


def _translate(operation: VersionedOperation, values: Mapping[int, object]) -> RegisterOperation:
    if operation.kind == "get":
        if operation.answer == MAYBE:
            return RegisterOperation("get", None, None, "unknown")
        is_there = operation.answer == OK
        value = _pair(operation.value, operation.version) if is_there else None
        return RegisterOperation("get", value, None, "ok")
    version = operation.version
    expected = _pair(values.get(version), version) if version else None
    if operation.answer == NO_KEY:
        return RegisterOperation("cas_met", None, expected, "ok")
    new = _pair(operation.value, version + 1)
    kind = "cas_missed" if operation.answer == MET_OTHER else "cas"
    return RegisterOperation(kind, new, expected, "unknown" if operation.answer == MAYBE else "ok")


def _pair(value: object, version: int) -> str | None:
    text = encode(value)
    return encode(f"{'?' if text is None else shown(text)} (version {version})")
