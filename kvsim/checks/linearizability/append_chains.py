"""Appends as compare-and-sets, where what was read shows in which order they happened.

When every string is appended once and what was read can be taken apart in one way only, each append
in it is a compare-and-set: from the string before it to the string with it. An append that no read
shows was overwritten before the next read: it is a put of a value that is not read. Both are exact.
The zones then decide the key in near-linear time.
"""

from __future__ import annotations

from collections.abc import Iterable

from kvsim.checks.linearizability.decision import (
    Decision,
    ViolationReason,
    not_linearizable,
    undecided,
)
from kvsim.checks.linearizability.effects import Join
from kvsim.checks.linearizability.register import Register
from kvsim.history.operations import ABSENT, APPEND, CAS, CAS_MISSED, GET, NEVER, PUT, WRITES_VALUE

# The numbers of states that end with an append: this, and the append's position.
STATE = 1 << 50


def chain_appends(register: Register, join: Join) -> Register | Decision:
    """The same register with its appends as compare-and-sets and puts, at the same positions.

    A violation when a read cannot be taken apart, or needs an append twice. Undecided when there
    is more than one way to take a read apart.
    """
    for at, kind in enumerate(register.kind):
        if kind == CAS_MISSED or (kind == CAS and register.until[at] == NEVER):
            return undecided(ViolationReason.OTHER_KIND, at=(at,))
    sources = _sources(register, join)
    if isinstance(sources, Decision):
        return sources
    return _Chains(register, join, *sources).rewrite()


def _sources(register: Register, join: Join) -> tuple[dict[str, int], dict[str, int]] | Decision:
    """Whole values and appended strings, each with its number or position; each only once."""
    whole: dict[str, int] = {}
    appended: dict[str, int] = {}
    if register.initial != ABSENT:
        whole[join.text(register.initial)] = register.initial
    for at, (kind, value) in enumerate(zip(register.kind, register.value, strict=True)):
        if kind not in WRITES_VALUE:
            continue
        text = join.text(value)
        known = appended if kind == APPEND else whole
        # An empty string cannot be told from "absent" once something is appended to it.
        if not text or text in known:
            return undecided(ViolationReason.WRITTEN_TWICE, at=(at,))
        known[text] = at if kind == APPEND else value
    return whole, appended


class _Chains:
    def __init__(
        self, register: Register, join: Join, whole: dict[str, int], appended: dict[str, int]
    ) -> None:
        self.register, self.join = register, join
        self.whole, self.appended = whole, appended
        self.whole_lengths = {*map(len, whole)}
        self.lengths = sorted({*map(len, appended)})
        # Append → the number of the state before it.
        self.expected: dict[int, int] = {}
        # Append → a string that was read, and where in it the append ends.
        self.found: dict[int, tuple[str, int]] = {}
        # Value number → the number of the state.
        self.state: dict[int, int] = {ABSENT: ABSENT}

    def rewrite(self) -> Register | Decision:
        for value in self._observed():
            if value not in self.state:
                state = self._take_apart(value)
                if isinstance(state, Decision):
                    return state
                self.state[value] = state
        return self._rewritten()

    def _observed(self) -> Iterable[int]:
        register = self.register
        for at, kind in enumerate(register.kind):
            if kind == GET:
                yield register.value[at]
            elif kind == CAS:
                yield register.expected[at]

    def _take_apart(self, value: int) -> int | Decision:
        """The number of the state that `value` is; notes what is before each append in it."""
        text = self.join.text(value)
        end, later, top = len(text), None, None
        while True:
            state, append = self._source(text, end)
            if state is None and append is None:
                return not_linearizable(ViolationReason.NEVER_WRITTEN, values=(value,))
            if state is not None and append is not None:
                return undecided(ViolationReason.OTHER_KIND)
            number = state if append is None else STATE + append
            assert number is not None
            top = number if top is None else top
            if later is not None:
                self.expected[later] = number
            if append is None:
                return top
            if append in self.found:
                other, other_end = self.found[append]
                if other_end != end or other[:end] != text[:end]:
                    return not_linearizable(ViolationReason.APPENDED_TWICE, at=(append,))
                return top
            self.found[append] = text, end
            end -= len(self.join.text(self.register.value[append]))
            later = append

    def _source(self, text: str, end: int) -> tuple[int | None, int | None]:
        """What can have written `text[:end]`: a whole value (its number), an append (its position).

        Two appends count as both.
        """
        if end == 0:
            return ABSENT, None
        state = self.whole.get(text[:end]) if end in self.whole_lengths else None
        appends = [
            self.appended[suffix]
            for length in self.lengths
            if length <= end and (suffix := text[end - length : end]) in self.appended
        ]
        if len(appends) > 1:
            return ABSENT, appends[0]
        return state, appends[0] if appends else None

    def _rewritten(self) -> Register:
        register = self.register
        rewritten = Register(refused=register.refused, initial=register.initial)
        for at, kind in enumerate(register.kind):
            value, expected = register.value[at], register.expected[at]
            if kind == GET:
                value = self.state[value]
            elif kind == CAS:
                expected = self.state[expected]
            elif kind == APPEND:
                kind = CAS if at in self.found else PUT
                value, expected = STATE + at, self.expected.get(at, ABSENT)
            rewritten.add(
                register.call[at], register.until[at], kind, value, expected, register.index[at]
            )
        return rewritten
