"""What a write on a follower did, told apart by read-backs."""

from __future__ import annotations

import pytest

from kvsim.checks.write_effect import WriteEffect, classify_effect
from kvsim.history.outcome import Outcome, OutcomeKind, Reason
from kvsim.history.run_record import RequestRecord

ABSENT = Outcome(OutcomeKind.OK, found=False)
SILENT = Outcome(OutcomeKind.UNKNOWN, Reason.TIMEOUT)
OK = Outcome(OutcomeKind.OK)
REFUSED = Outcome(OutcomeKind.REFUSED, Reason.READ_ONLY)
REDIRECT = Outcome(OutcomeKind.REFUSED, Reason.READ_ONLY, leader="9001")


def value(text: str) -> Outcome:
    return Outcome(OutcomeKind.OK, value=text, found=True)


def write(outcome: Outcome, verb: str = "put") -> RequestRecord:
    new = None if verb == "delete" else "new"
    return RequestRecord(1, "1.1", "step", "n2", 1, verb, "k", new, b"", b"", 0.0, 0.1, "", outcome)


def effect(outcome: Outcome, before: dict, after: dict, verb: str = "put") -> WriteEffect:
    return classify_effect(write(outcome, verb), before, after, "n1")


OLD = {"n1": value("old"), "n2": ABSENT}


@pytest.mark.parametrize(
    ("outcome", "after", "expected"),
    [
        (REFUSED, OLD, WriteEffect.REFUSED),
        (REDIRECT, OLD, WriteEffect.REDIRECTED),
        (REDIRECT, {**OLD, "n2": value("new")}, WriteEffect.STORED_ANYWAY),
        (REFUSED, {**OLD, "n1": value("new")}, WriteEffect.STORED_ANYWAY),
        (REFUSED, {"n1": SILENT, "n2": SILENT}, WriteEffect.UNCLEAR),
        (OK, {"n1": value("new"), "n2": value("new")}, WriteEffect.FORWARDED),
        (OK, {"n1": value("new"), "n2": ABSENT}, WriteEffect.FORWARDED),
        (OK, {**OLD, "n2": value("new")}, WriteEffect.DIVERGED),
        (OK, OLD, WriteEffect.NO_EFFECT),
        (Outcome(OutcomeKind.UNKNOWN, Reason.TIMEOUT), OLD, WriteEffect.UNANSWERED),
        (Outcome(OutcomeKind.UNKNOWN, Reason.RESET), OLD, WriteEffect.CONNECTION_LOST),
        (Outcome(OutcomeKind.UNKNOWN, Reason.UNRECOGNISED), OLD, WriteEffect.FAILED),
        (
            Outcome(OutcomeKind.UNKNOWN, Reason.UNRECOGNISED),
            {**OLD, "n2": value("new")},
            WriteEffect.FAILED_BUT_STORED,
        ),
    ],
)
def test_a_put_is_told_apart(outcome, after, expected):
    assert effect(outcome, OLD, after) is expected


MISMATCH = Outcome(OutcomeKind.OK, matched=False)


@pytest.mark.parametrize(
    ("outcome", "after", "expected"),
    [
        (OK, {"n1": value("new"), "n2": ABSENT}, WriteEffect.FORWARDED),
        (OK, {**OLD, "n2": value("new")}, WriteEffect.DIVERGED),
        (MISMATCH, OLD, WriteEffect.MISMATCHED),
        (ABSENT, OLD, WriteEffect.MISMATCHED),
        (MISMATCH, {**OLD, "n1": value("other")}, WriteEffect.MISMATCHED),
        (MISMATCH, {**OLD, "n2": value("new")}, WriteEffect.MISMATCHED_BUT_STORED),
        (MISMATCH, {"n1": SILENT, "n2": SILENT}, WriteEffect.UNCLEAR),
    ],
)
def test_a_compare_and_set_is_told_apart(outcome, after, expected):
    assert effect(outcome, OLD, after, "cas") is expected


BOTH = {"n1": value("old"), "n2": value("old")}


@pytest.mark.parametrize(
    ("outcome", "after", "expected"),
    [
        (REFUSED, BOTH, WriteEffect.REFUSED),
        (REFUSED, {**BOTH, "n2": ABSENT}, WriteEffect.STORED_ANYWAY),
        (OK, {"n1": ABSENT, "n2": ABSENT}, WriteEffect.FORWARDED),
        (OK, {**BOTH, "n2": ABSENT}, WriteEffect.DIVERGED),
        (OK, BOTH, WriteEffect.NO_EFFECT),
    ],
)
def test_a_delete_is_told_apart(outcome, after, expected):
    assert effect(outcome, BOTH, after, "delete") is expected
