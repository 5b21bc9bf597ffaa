"""What a decider of one key returns: linearizable, not (and why), or not decided. Values only."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct

# The time of the initial value, and of what may have happened at any time.
BEFORE = -(1 << 62)


class ViolationReason(Enum):
    """Why a key is not linearizable, or why a decider cannot decide it. The values are printed."""

    NEVER_WRITTEN = "a value was read that no client wrote"
    REFUSED_WRITE = "a value was read whose write was refused"
    READ_TOO_EARLY = "a value was read before its write began"
    OVERLAP = "two values each had to be current in overlapping periods"
    SWALLOWED = "a write fell wholly inside a period in which another value was current"
    CAS_FROM_NOWHERE = "a compare-and-set found a value that no client wrote"
    CONSUMED_TWICE = "two compare-and-sets found the same value"
    CAS_TOO_EARLY = "a compare-and-set returned before what it depends on began"
    CAS_CYCLE = "compare-and-sets depend on each other in a cycle"
    APPENDED_TWICE = "what was read needs an append after two different values"
    ABSENT_INSIDE = "the key was found absent inside a period in which a value had to be current"
    DELETE_INSIDE = "a delete fell wholly inside a period in which a value was current"
    ABSENT_UNEXPLAINED = "the key was found absent, but no delete can explain it"
    CAS_UNEXPLAINED = "a compare-and-set found the key absent, but no delete can explain it"
    FAILED_CAS_INSIDE = "a compare-and-set did not find the value that had to be current throughout"
    NO_ORDER = "the search tried every order and none explains what was read"
    # Not decided:
    WRITTEN_TWICE = "a value was written more than once"
    WRITES_ABSENT = "a compare-and-set or put writes 'absent'"
    OTHER_KIND = "the key has appends"
    FAILED_CAS = "a compare-and-set failed without saying which value it met"
    BUDGET = "the search ran out of its budget"
    UNPROVEN = "kvsim found an order but its own replay rejects it, which is a defect of kvsim"


class Decision(Struct, frozen=True):
    """`linearizable` is True, False or None (not decided).

    `at` are positions of operations in the register, and `values` value numbers, that the reason is
    about: where to look, not a minimal proof.
    """

    linearizable: bool | None
    reason: ViolationReason | None = None
    at: tuple[int, ...] = ()
    values: tuple[int, ...] = ()


LINEARIZABLE = Decision(True)


def not_linearizable(
    reason: ViolationReason, *, at: tuple[int, ...] = (), values: tuple[int, ...] = ()
) -> Decision:
    """Not linearizable, because of `reason`."""
    return Decision(False, reason, at, values)


def undecided(reason: ViolationReason, *, at: tuple[int, ...] = ()) -> Decision:
    """This decider cannot decide such a history, because of `reason`."""
    return Decision(None, reason, at)
