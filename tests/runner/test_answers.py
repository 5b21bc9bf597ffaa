"""Which outcomes show that a node is alive and answers, be it with a refusal."""

from __future__ import annotations

import pytest

from kvsim.history.outcome import Outcome, OutcomeKind, Reason
from kvsim.runner.steps.faults import answers

OK, REFUSED, UNKNOWN = OutcomeKind.OK, OutcomeKind.REFUSED, OutcomeKind.UNKNOWN


@pytest.mark.parametrize(
    ("outcome", "answered"),
    [
        (Outcome(OK), True),
        (Outcome(OK, found=False), True),
        (Outcome(REFUSED, Reason.READ_ONLY), True),
        (Outcome(REFUSED, Reason.NOT_READY), True),
        (Outcome(REFUSED, Reason.OTHER), True),
        (Outcome(REFUSED, Reason.UNREACHABLE), False),
        (Outcome(UNKNOWN, Reason.UNCERTAIN), True),
        (Outcome(UNKNOWN, Reason.TIMEOUT), False),
        (Outcome(UNKNOWN, Reason.RESET), False),
        (Outcome(UNKNOWN, Reason.CLOSED), False),
    ],
)
@pytest.mark.parametrize("protocol", ["lines", "http", "command"])
def test_a_refusal_by_the_node_is_an_answer(outcome, answered, protocol):
    assert answers(outcome, protocol) is answered


@pytest.mark.parametrize(("protocol", "answered"), [("lines", True), ("command", False)])
def test_an_unrecognised_reply_is_an_answer_unless_a_client_command_printed_it(protocol, answered):
    assert answers(Outcome(UNKNOWN, Reason.UNRECOGNISED), protocol) is answered
