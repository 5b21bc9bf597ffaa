"""A node that is up, with no fault on it, and does not answer in time: is it slow, or silent?

A request that changes nothing is sent once more, on a new connection, with five times the usual
limit. A write is never sent twice: its connection is held as long, and another connection asks for
its key. What was observed is journaled, and whether the node or kvsim was kept from running
meanwhile. The outcome of the operation stays unknown.
"""

from __future__ import annotations

import os
import threading
import time

from msgspec import Struct, field
from msgspec.structs import replace

from kvsim.client.exchange import Client, Request, Response
from kvsim.client.settings import LINE_ENDS, described_end
from kvsim.config.program import Program
from kvsim.history.journal import Journal, to_text
from kvsim.history.outcome import Outcome, OutcomeKind, Reason
from kvsim.history.run_record import WRITE_VERBS, RequestRecord
from kvsim.launcher.launcher import Launcher
from kvsim.process.run_delay import RunDelays, kept_from_running

# How many times the usual limit a silent node gets.
PATIENCE = 5
# Reasons of requests whose reply did not come, or not to its end.
NO_WHOLE_REPLY = frozenset({Reason.TIMEOUT, Reason.CLOSED, Reason.RESET, Reason.UNREACHABLE})


class RunWatch(Struct, frozen=True):
    """The running times of a node and of kvsim when it began."""

    node: RunDelays
    kvsim: RunDelays

    @classmethod
    def begin(cls, launcher: Launcher, name: str) -> RunWatch:
        node = launcher.nodes[name]
        pids = [process.pid for process in node.tree(node.known)]
        return cls(RunDelays.of(pids), RunDelays.of([os.getpid()]))

    @classmethod
    def end(cls, launcher: Launcher, name: str) -> RunWatch:
        """The times now, with the waits of this moment counted to their end."""
        node = launcher.nodes[name]
        kvsim = RunDelays.of([os.getpid()])
        return cls(RunDelays.settled([process.pid for process in node.tree(node.known)]), kvsim)

    def kept_from_running(self, now: RunWatch) -> str:
        """What kept the node or kvsim from running until `now`; empty when nothing did."""
        node = kept_from_running(self.node, now.node)
        kvsim = kept_from_running(self.kvsim, now.kvsim)
        return f"the node: {node}" if node else f"kvsim: {kvsim}" if kvsim else ""


class SilenceWatch(Struct):
    """Tells slow nodes from silent ones.

    `nodes_with_faults` are those of the faults that last now; `disturbed`: a fault was injected
    before, so that a write may wait for a node that is catching up. `whole_replies` are the
    nodes of which one reply at least was whole, so that node.yaml describes where one ends. Once a
    node was found silent, no other request is looked at: the run has failed, and each look takes
    long.
    """

    launcher: Launcher
    journal: Journal
    timeout_s: float
    whole_replies: set[str] = field(default_factory=set)
    nodes_with_faults: list[str] = field(default_factory=list)
    disturbed: bool = False
    found: bool = False

    def holds(self, name: str, request: Request) -> bool:
        """Whether the connection of an unanswered request is held: of a write that depends on no
        node that is missing, or that may be elected."""
        nodes = self.launcher.nodes
        return (
            request.verb in WRITE_VERBS
            and self._judged(name)
            and not self.disturbed
            and not self.nodes_with_faults
            and "elects" not in nodes[name].program.capabilities
            and all(node.up and node.incarnation == 1 for node in nodes.values())
        )

    def ask_and_hold(
        self, name: str, client: Client, request: Request, limit_s: float
    ) -> tuple[Response, RunWatch | None]:
        """Ask, and hold the connection for longer than the limit.

        A reply after the limit is no reply in time: unknown. The watch began when the limit was
        over; None: the request ended before.
        """
        begun: list[RunWatch] = []
        timer = threading.Timer(limit_s, lambda: begun.append(RunWatch.begin(self.launcher, name)))
        timer.daemon = True
        timer.start()
        begin = time.monotonic()
        try:
            response = client.ask(request, limit_s + PATIENCE * self.timeout_s)
        finally:
            timer.cancel()
            timer.join()
        took_s = time.monotonic() - begin
        if not begun or response.outcome.reason is Reason.UNREACHABLE:
            return response, None
        if response.exchange.failure != "timeout":
            return _late(response, took_s), None
        return response, begun[0]

    def look_again(
        self, name: str, request: Request, record: RequestRecord, held: RunWatch | None = None
    ) -> None:
        """Find out whether the node of an unanswered request is silent, and journal it."""
        if record.outcome.reason not in NO_WHOLE_REPLY:
            self.whole_replies.add(name)
        if record.outcome.reason is not Reason.TIMEOUT or not self._judged(name):
            return
        program = self.launcher.nodes[name].program
        # It is not silent: something came, and node.yaml may describe its end wrongly.
        if described_end(program.speak, record.sent, record.received):
            return
        if record.received and self._may_end_otherwise(program):
            return
        if held is not None:
            self._note(name, record, held, f"on the same connection, held {self._patience}")
            return
        again = self._harmless(name, request)
        if again is None:
            return
        watch, client = RunWatch.begin(self.launcher, name), self.launcher.connect(name)
        try:
            outcome = client.ask(again, PATIENCE * self.timeout_s)
        finally:
            client.close()
        if outcome.outcome.kind is OutcomeKind.UNKNOWN and self._judged(name):
            sent = f"to {again.verb} on a new connection, within {self._patience}"
            self._note(name, record, watch, sent)

    def _may_end_otherwise(self, program: Program) -> bool:
        """Whether node.yaml says how lines end, and no reply of the program was whole so far."""
        written = any(name in program.speak.settings for name in LINE_ENDS)
        pinged = any(probe.kind == "ping" for probe in program.ready.all_of)
        known = {self.launcher.nodes[name].program.name for name in self.whole_replies}
        return written and not pinged and program.name not in known

    @property
    def _patience(self) -> str:
        return f"{PATIENCE * self.timeout_s:g}s"

    def _judged(self, name: str) -> bool:
        node = self.launcher.nodes[name]
        return node.up and name not in self.nodes_with_faults and not self.found

    def _harmless(self, name: str, request: Request) -> Request | None:
        """A request that changes nothing: the same one, or a read of the key of a write."""
        known = self.launcher.nodes[name].program.requests
        if request.payload is None and request.verb not in WRITE_VERBS | {"promote"}:
            return request
        if "get" in known and "key" in request.fields:
            return Request("get", {"key": request.fields["key"]})
        return Request("ping") if "ping" in known else None

    def _note(self, name: str, record: RequestRecord, watch: RunWatch, asked: str) -> None:
        incarnation = self.launcher.nodes[name].incarnation
        kept = watch.kept_from_running(RunWatch.end(self.launcher, name))
        self.found = not kept
        self.journal.write(
            "silent",
            node=name,
            incarnation=incarnation,
            request=record.id,
            asked=asked,
            kept_from_running=kept,
            sent=to_text(record.sent),
        )


def _late(response: Response, took_s: float) -> Response:
    """The response of a request whose limit was over when the node answered."""
    problem = f"no whole reply in time; it came after {took_s:.3g}s"
    exchange = replace(
        response.exchange, failure="timeout", problem=problem, received=b"", reply=None
    )
    return Response(exchange, Outcome(OutcomeKind.UNKNOWN, Reason.TIMEOUT, detail=problem))
