"""A user's pattern searched in what a node said, with an end that holds.

Python's `re` has no time limit, and a pattern such as `(.+)+#` takes longer than the universe lasts
on a line of forty letters. So a search by `re` is made only where its number of steps is bounded:
by the repetitions in the pattern and the length of the text. Every other search is made by the
library `regex`, which ends after a time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import lru_cache
from re import _parser  # type: ignore[attr-defined]
from typing import Any, AnyStr

from kvsim.errors import UsageError

# About a second of Python's engine.
STEPS_MAX = 2e7
TIMEOUT_S = 1.0
# A repetition of at most so many is a constant factor.
FEW = 16


class PatternTooSlow(UsageError):
    """A pattern of the user's files takes too long on what a node said."""


def search(pattern: AnyStr, text: AnyStr, *, multiline: bool = False) -> re.Match[AnyStr] | None:
    """As `re.search`. Raises PatternTooSlow after about a second."""
    return searcher(pattern, multiline)(text)


@lru_cache(maxsize=1024)
def searcher(
    pattern: AnyStr, multiline: bool = False
) -> Callable[[AnyStr], re.Match[AnyStr] | None]:
    """The search of one pattern in many texts."""
    find = re.compile(pattern, re.MULTILINE if multiline else 0).search
    length_max = _length_max(pattern)

    def search_in(text: AnyStr) -> re.Match[AnyStr] | None:
        if len(text) <= length_max:
            return find(text)
        return _search_in_time(pattern, text, multiline)

    return search_in


def may_be_too_slow(pattern: str | bytes, length: int) -> bool:
    """Whether a search in so many characters may end without a result, by its time limit."""
    return length > _length_max(pattern)


def _length_max(pattern: str | bytes) -> float:
    """The longest text that is searched without a time limit; -1: none is."""
    # (length + 1) ** degree <= STEPS_MAX
    steps = degree(pattern)
    return STEPS_MAX ** (1 / steps) - 1 if steps < math.inf else -1


def repeats_repetition(pattern: str | bytes) -> bool:
    """Whether it repeats what is one repetition already, as in `(.+)+`, without any bound.

    A text that does not match is then cut into pieces in every way there is. `.+` matches the same.
    """
    return _repeats_repetition(list(_parser.parse(pattern)))


def _repeats_repetition(items: Any) -> bool:
    return any(
        (_is_endless(operation, argument) and _is_one_repetition(argument[2]))
        or any(_repeats_repetition(inner) for inner in _inner(argument))
        for operation, argument in items
    )


def _is_endless(operation: Any, argument: Any) -> bool:
    repeats = operation in (_parser.MAX_REPEAT, _parser.MIN_REPEAT)
    return repeats and argument[1] is _parser.MAXREPEAT


def _is_one_repetition(items: Any) -> bool:
    """Whether all of it is one endless repetition, perhaps in groups."""
    items = list(items)
    if len(items) != 1:
        return False
    operation, argument = items[0]
    if operation is _parser.SUBPATTERN:
        return _is_one_repetition(argument[-1])
    return _is_endless(operation, argument)


def degree(pattern: str | bytes) -> float:
    """A search takes at most about `length ** degree` steps; infinite: no such bound."""
    parsed = _parser.parse(pattern)
    items = list(parsed)
    begins = items[:1] == [(_parser.AT, _parser.AT_BEGINNING)]
    begins = begins and not parsed.state.flags & re.MULTILINE
    return max(1, _repetitions(items) + (0 if begins else 1))


def _repetitions(items: Any) -> float:
    """How many repetitions without a small bound follow each other; infinite: one is in another."""
    return sum(_repetitions_of(operation, argument) for operation, argument in items)


def _repetitions_of(operation: Any, argument: Any) -> float:
    if operation in (_parser.MAX_REPEAT, _parser.MIN_REPEAT, _parser.POSSESSIVE_REPEAT):
        _, high, inner = argument
        if high == 1:
            return _repetitions(inner)
        if _repetitions(inner) or _has_choice(inner):
            return math.inf
        return 0 if high <= FEW else 1
    if operation is _parser.GROUPREF:
        return math.inf
    return sum(_repetitions(inner) for inner in _inner(argument))


def _has_choice(items: Any) -> bool:
    """Whether it may match in two ways: an alternative, or something optional."""
    for operation, argument in items:
        if operation in (_parser.BRANCH, _parser.MAX_REPEAT, _parser.MIN_REPEAT):
            return True
        if any(_has_choice(inner) for inner in _inner(argument)):
            return True
    return False


def _inner(argument: Any) -> list[Any]:
    """The patterns inside an operation: of a group, a look-ahead, alternatives."""
    if isinstance(argument, _parser.SubPattern):
        return [argument]
    if isinstance(argument, list | tuple):
        return [inner for part in argument for inner in _inner(part)]
    return []


def _search_in_time(pattern: AnyStr, text: AnyStr, multiline: bool) -> re.Match[AnyStr] | None:
    # Few patterns need it.
    import regex  # type: ignore[import-untyped]

    flags = regex.MULTILINE if multiline else 0
    try:
        found: re.Match[AnyStr] | None = regex.search(pattern, text, flags, timeout=TIMEOUT_S)
    except TimeoutError:
        shown = pattern if isinstance(pattern, str) else pattern.decode("utf-8", "backslashreplace")
        raise PatternTooSlow(
            f"the pattern {shown!r} takes longer than {TIMEOUT_S:g}s on {len(text)} characters: "
            "repetitions inside repetitions can be written simpler"
        ) from None
    except regex.error:
        # What only Python's engine reads, in a pattern that it may take long for.
        return re.search(pattern, text, re.MULTILINE if multiline else 0)
    return found
