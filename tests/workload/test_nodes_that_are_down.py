"""A load whose clients are commands, at a node that is down: nothing was sent.

No process: the clients are made here.
"""

from __future__ import annotations

import time

import pytest

from kvsim.client.exchange import Exchange, Response
from kvsim.history.operations import REFUSED, UNKNOWN
from kvsim.history.outcome import Outcome, OutcomeKind, Reason
from kvsim.process.presence import Presence
from kvsim.workload import threads
from kvsim.workload.threads import ClientThreads


class FailingCommand:
    """A client that ends with status 3 and says something that no rule knows."""

    def ask(self, request, timeout_s):
        now = time.monotonic_ns()
        exchange = Exchange(request.verb, b"kv_client", b"", now, now, status=3)
        return Response(exchange, Outcome(OutcomeKind.UNKNOWN, Reason.UNRECOGNISED))

    def close(self):
        return b""


@pytest.fixture
def presence():
    made = Presence(["n1"])
    yield made
    made.close()


@pytest.mark.parametrize(("ended", "outcome"), [(True, REFUSED), (False, UNKNOWN)])
def test_a_client_that_fails_is_unreachable_only_while_its_node_is_down(
    ended, outcome, presence, planned, serve, monkeypatch
):
    if ended:
        presence.has_ended("n1")
    plan = planned(serve(), presence=presence.path, clients=1, stop_after=3)
    monkeypatch.setattr(threads, "_connect", lambda node: FailingCommand())
    load = ClientThreads(plan, lambda: False)
    load.run()
    # What was not sent is no operation.
    outcomes = set(load.recorder.operations.outcome)
    assert outcomes == (set() if outcome == REFUSED else {UNKNOWN})
