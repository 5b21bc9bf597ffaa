"""What a write on a follower did, told apart by read-backs."""

from __future__ import annotations

import pytest

from kvsim.checks.fate import Fate, fate
from kvsim.history.outcome import Kind, Outcome, Reason
from kvsim.history.record import Operation

ABSENT = Outcome(Kind.OK, found=False)
SILENT = Outcome(Kind.UNKNOWN, Reason.TIMEOUT)
OK = Outcome(Kind.OK)
REFUSED = Outcome(Kind.REFUSED, Reason.READ_ONLY)
REDIRECT = Outcome(Kind.REFUSED, Reason.READ_ONLY, leader="9001")


def value(text: str) -> Outcome:
    return Outcome(Kind.OK, value=text, found=True)


def write(outcome: Outcome, verb: str = "put") -> Operation:
    new = None if verb == "delete" else "new"
    return Operation(1, "1.1", "step", "n2", 1, verb, "k", new, b"", b"", 0.0, 0.1, "", outcome)


def told(outcome: Outcome, before: dict, after: dict, verb: str = "put") -> Fate:
    return fate(write(outcome, verb), before, after, "n1")


OLD = {"n1": value("old"), "n2": ABSENT}


@pytest.mark.parametrize(
    ("outcome", "after", "expected"),
    [
        (REFUSED, OLD, Fate.REFUSED),
        (REDIRECT, OLD, Fate.REDIRECTED),
        (REDIRECT, {**OLD, "n2": value("new")}, Fate.STORED_ANYWAY),
        (REFUSED, {**OLD, "n1": value("new")}, Fate.STORED_ANYWAY),
        (REFUSED, {"n1": SILENT, "n2": SILENT}, Fate.UNCLEAR),
        (OK, {"n1": value("new"), "n2": value("new")}, Fate.FORWARDED),
        (OK, {"n1": value("new"), "n2": ABSENT}, Fate.FORWARDED),
        (OK, {**OLD, "n2": value("new")}, Fate.DIVERGED),
        (OK, OLD, Fate.NO_EFFECT),
        (Outcome(Kind.UNKNOWN, Reason.TIMEOUT), OLD, Fate.UNANSWERED),
        (Outcome(Kind.UNKNOWN, Reason.RESET), OLD, Fate.CONNECTION_LOST),
        (Outcome(Kind.UNKNOWN, Reason.UNRECOGNISED), OLD, Fate.FAILED),
        (Outcome(Kind.UNKNOWN, Reason.UNRECOGNISED), {**OLD, "n2": value("new")}, Fate.FAILED_BUT_STORED),
    ],
)
def test_a_put_is_told_apart(outcome, after, expected):
    assert told(outcome, OLD, after) is expected


MISMATCH = Outcome(Kind.OK, matched=False)


@pytest.mark.parametrize(
    ("outcome", "after", "expected"),
    [
        (OK, {"n1": value("new"), "n2": ABSENT}, Fate.FORWARDED),
        (OK, {**OLD, "n2": value("new")}, Fate.DIVERGED),
        (MISMATCH, OLD, Fate.MISMATCHED),
        (ABSENT, OLD, Fate.MISMATCHED),
        (MISMATCH, {**OLD, "n1": value("other")}, Fate.MISMATCHED),
        (MISMATCH, {**OLD, "n2": value("new")}, Fate.MISMATCHED_BUT_STORED),
        (MISMATCH, {"n1": SILENT, "n2": SILENT}, Fate.UNCLEAR),
    ],
)
def test_a_compare_and_set_is_told_apart(outcome, after, expected):
    assert told(outcome, OLD, after, "cas") is expected


BOTH = {"n1": value("old"), "n2": value("old")}


@pytest.mark.parametrize(
    ("outcome", "after", "expected"),
    [
        (REFUSED, BOTH, Fate.REFUSED),
        (REFUSED, {**BOTH, "n2": ABSENT}, Fate.STORED_ANYWAY),
        (OK, {"n1": ABSENT, "n2": ABSENT}, Fate.FORWARDED),
        (OK, {**BOTH, "n2": ABSENT}, Fate.DIVERGED),
        (OK, BOTH, Fate.NO_EFFECT),
    ],
)
def test_a_delete_is_told_apart(outcome, after, expected):
    assert told(outcome, BOTH, after, "delete") is expected
