"""What operations do to a register: which states allow them, and which state follows. Pure.

States are value numbers. A state that no operation can tell from others, because no value that is
read or expected can still come of it, is UNREAD: all of these are one state.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from functools import cached_property

from kvsim.checks.linearizability.register import Register
from kvsim.history.operations import (
    ABSENT,
    APPEND,
    CAS,
    CAS_MISSED,
    DELETE,
    EXPECTS,
    GET,
    NEVER,
    ONLY_OBSERVES,
    PUT,
    SETS_STATE,
    UNCONDITIONAL,
    StringTable,
)

UNREAD = -1


class Join:
    """How appending works on value numbers. New strings get numbers that the history lacks."""

    def __init__(self, values: StringTable[str | None]) -> None:
        self.values = values
        self.numbers: dict[str, int] = {}
        self.strings: dict[int, str] = {}

    def text(self, number: int) -> str:
        """The string of a value number; absent counts as empty."""
        return self.strings[number] if number in self.strings else self.values[number] or ""

    def __call__(self, state: int, suffix: int) -> int:
        """The number of `state` with `suffix` behind it."""
        return self.number(self.text(state) + self.text(suffix))

    def number(self, text: str) -> int:
        found = self.values.numbers.get(text)
        if found is None:
            found = self.numbers.get(text)
        if found is None:
            found = self.numbers[text] = (1 << 40) + len(self.numbers)
            self.strings[found] = text
        return found


def allows(register: Register, at: int, state: int) -> bool:
    """May the operation at position `at` happen in `state`?"""
    kind = register.kind[at]
    if kind == GET:
        return register.value[at] == state
    if kind == CAS:
        return register.expected[at] == state
    return kind != CAS_MISSED or register.expected[at] != state


def after(register: Register, at: int, state: int, join: Callable[[int, int], int] | None) -> int:
    """The state after it. Raises ValueError for an append without `join`."""
    kind = register.kind[at]
    if kind in ONLY_OBSERVES:
        return state
    if kind == APPEND:
        if join is None:
            raise ValueError("a register with appends needs `join`")
        return join(state, register.value[at])
    return ABSENT if kind == DELETE else register.value[at]


class Effects:
    """The operations of one register, as a search asks for them. Positions are called `at`."""

    def __init__(
        self, register: Register, join: Join | None, optional: frozenset[int] = frozenset()
    ) -> None:
        self.register, self.join, self.optional = register, join, optional
        self.appends = APPEND in register.kind
        if self.appends and join is None:
            raise ValueError("a register with appends cannot be searched without `join`")
        self.has_failed_cas = CAS_MISSED in register.kind
        self.observed = self._observed()
        self.joined: dict[tuple[int, int], int] = {}
        self.initial = self._state(register.initial)

    def may_omit(self, at: int) -> bool:
        return self.register.until[at] == NEVER or at in self.optional

    def is_passive(self, at: int) -> bool:
        """Does it never change the state?"""
        register = self.register
        return register.kind[at] in ONLY_OBSERVES or (
            register.kind[at] == CAS and register.expected[at] == register.value[at]
        )

    def is_blind(self, at: int) -> bool:
        """Is the state after it the same, whichever was before it?"""
        return self.register.kind[at] in SETS_STATE

    def is_hideable(self, at: int) -> bool:
        """Is it possible in every state?"""
        return self.register.kind[at] in UNCONDITIONAL

    def wanted(self, at: int) -> int | None:
        """The state that it needs; None when there is no single one."""
        register = self.register
        if register.kind[at] == GET:
            return register.value[at]
        return register.expected[at] if register.kind[at] == CAS else None

    def written(self, at: int) -> int:
        """The state that it leaves (not of appends)."""
        return self._state(ABSENT if self.register.kind[at] == DELETE else self.register.value[at])

    def effect(self, at: int) -> tuple[int, int, int]:
        """Equal for operations that may take each other's place."""
        register = self.register
        kind = register.kind[at]
        if kind in SETS_STATE:
            return PUT, self.written(at), ABSENT
        return kind, register.value[at], register.expected[at] if kind == CAS else ABSENT

    def allows(self, at: int, state: int) -> bool:
        return allows(self.register, at, state)

    def after(self, at: int, state: int) -> int:
        """The state after it, UNREAD if nothing can tell."""
        if self.register.kind[at] != APPEND:
            return self.written(at)
        if state == UNREAD or self.join is None:
            return UNREAD
        suffix = self.register.value[at]
        joined = self.joined.get((state, suffix))
        if joined is None:
            joined = self.joined[state, suffix] = self._state(self.join(state, suffix))
        return joined

    def depends_on(self, at: int, state: int) -> bool:
        """Would this write in another state than `state` make a difference?"""
        if self.register.kind[at] == APPEND:
            return self.has_failed_cas or self.after(at, state) != UNREAD
        return not self.is_blind(at)

    def is_useful(self, at: int) -> bool:
        """Can it make a difference that this operation, which may be left out, happens?"""
        if self.is_passive(at):
            return False
        if self.has_failed_cas:
            return True
        if self.register.kind[at] == APPEND:
            text = self._text(self.register.value[at])
            return any(text in other for other in self._observed_texts)
        return self.written(at) != UNREAD

    def _text(self, value: int) -> str:
        return self.join.text(value) if self.join else ""

    def _observed(self) -> set[int]:
        """The values that are read or expected, or are expected by what may lead to these."""
        register, found = self.register, set[int]()
        waiting = []
        for at, kind in enumerate(register.kind):
            if kind == GET:
                found.add(register.value[at])
            elif kind in EXPECTS:
                if kind == CAS and self.may_omit(at) and not self.appends:
                    waiting.append(at)
                else:
                    found.add(register.expected[at])
        while useful := [at for at in waiting if register.value[at] in found]:
            found.update(register.expected[at] for at in useful)
            waiting = [at for at in waiting if at not in useful]
        return found

    @cached_property
    def _observed_texts(self) -> list[str]:
        return sorted({self._text(value) for value in self.observed})

    def _state(self, value: int) -> int:
        if value in self.observed:
            return value
        if self.appends:
            text, texts = self._text(value), self._observed_texts
            index = bisect_left(texts, text)
            if index < len(texts) and texts[index].startswith(text):
                return value
        return UNREAD
