"""What a decider of one key answers: linearizable, not (and why), or not decided. Values only."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

BEFORE = -(1 << 62)  # the time of the initial value, and of what may have happened at any time


class Reason(Enum):
    """Why a key is not linearizable (`{}`-free sentences), or why a decider does not speak about it."""

    NEVER_WRITTEN = "a value was read that nobody wrote"
    REFUSED_WRITE = "a value was read whose write was refused"
    READ_TOO_EARLY = "a value was read before its write began"
    OVERLAP = "two values each had to be current in overlapping periods"
    SWALLOWED = "a write fell wholly inside a period in which another value was current"
    CAS_FROM_NOWHERE = "a compare-and-set found a value that nobody wrote"
    CONSUMED_TWICE = "two compare-and-sets found the same value"
    CAS_TOO_EARLY = "a compare-and-set returned before what it depends on began"
    CAS_CIRCLE = "compare-and-sets depend on each other in a circle"
    ABSENT_INSIDE = "the key was found absent inside a period in which a value had to be current"
    DELETE_INSIDE = "a delete fell wholly inside a period in which a value was current"
    ABSENT_UNEXPLAINED = "the key was found absent, but no delete can explain it"
    CAS_UNEXPLAINED = "a compare-and-set found the key absent, but no delete can explain it"
    MISS_INSIDE = "a compare-and-set did not find the value that had to be current throughout"
    NO_ORDER = "the search tried every order and none explains what was read"
    # not decided
    WRITTEN_TWICE = "a value was written more than once"
    WRITES_ABSENT = "a compare-and-set or put writes 'absent'"
    OTHER_KIND = "the key has appends"
    MISSES = "a compare-and-set failed without saying which value it met"
    BUDGET = "the search ran out of its budget"
    UNPROVEN = "kvsim found an order but its own replay rejects it, which is a defect of kvsim"


@dataclass(frozen=True)
class Ruling:
    """`linearizable` is True, False or None (not decided).

    `at` are indexes of operations and `values` value numbers that the reason is about: where to look, not a
    minimal proof.
    """

    linearizable: bool | None
    reason: Reason | None = None
    at: tuple[int, ...] = ()
    values: tuple[int, ...] = ()


YES = Ruling(True)


def no(reason: Reason, *, at: tuple[int, ...] = (), values: tuple[int, ...] = ()) -> Ruling:
    """Not linearizable, because of `reason`."""
    return Ruling(False, reason, at, values)


def undecided(reason: Reason, *, at: tuple[int, ...] = ()) -> Ruling:
    """This decider does not speak about such a history."""
    return Ruling(None, reason, at)
