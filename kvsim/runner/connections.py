"""kvsim's connections to the nodes: one client for each node; every request is journaled.

The only place in a run where a request is sent (and `unanswered`, for a node that does not answer).
Reads of several nodes are sent side by side. Knows nothing of steps; the caller says for which
step and purpose it asks. `ObservedState` keeps what the nodes held after the last accepted write.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Collection
from functools import partial

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from kvsim.client.exchange import Client, Request, Response
from kvsim.client.outcomes import without_a_node
from kvsim.client.side_by_side import side_by_side
from kvsim.client.status import NodeStatus, ask_status
from kvsim.faults.kill_during_request import RequestWrapper
from kvsim.history.journal import Journal, to_text
from kvsim.history.outcome import Outcome, OutcomeKind, Reason
from kvsim.history.run_record import OPTIONAL, RequestRecord
from kvsim.launcher.launcher import Launcher
from kvsim.runner.unanswered import SilenceWatch

# Node → its reply for one key.
Values = dict[str, Outcome]
# A key that no scenario writes, for asking whether a node serves.
PROBE_KEY = "kvsim-is-anybody-there"


class Connections:
    """Ask nodes and record each request and reply."""

    def __init__(self, launcher: Launcher, journal: Journal, timeout_s: float) -> None:
        self.launcher = launcher
        self.journal = journal
        self.timeout_s = timeout_s
        self._clients: dict[tuple[str, int], Client] = {}
        self._owners_noted: set[tuple[str, int, str]] = set()
        # The requests of the journal are numbered in its order, also where several threads ask.
        self._ids, self._noting = itertools.count(1), threading.Lock()
        self.silence = SilenceWatch(launcher, journal, timeout_s)
        # Called around the next request of a step, once.
        self.wrapper: RequestWrapper | None = None

    def ask(
        self,
        node: str,
        request: Request,
        *,
        step: str,
        purpose: str = "step",
        phase: str = "",
        timeout_s: float | None = None,
    ) -> RequestRecord:
        """Send one request and journal it. Never raises for what the node does."""
        client = self._client(node)
        was_up = self.launcher.nodes[node].up
        limit_s = timeout_s or self.timeout_s
        wrapper = self._take_wrapper() if purpose == "step" else None
        watch = None
        if wrapper is not None:
            response = wrapper(lambda sent: client.ask(replace(request, when_sent=sent), limit_s))
        elif self.silence.holds(node, request):
            response, watch = self.silence.ask_and_hold(node, client, request, limit_s)
        else:
            response = client.ask(request, limit_s)
        if not was_up:
            response = without_a_node(response)
        record = self._note(node, request, response, step, purpose, phase, limit_s)
        if wrapper is None and purpose != "wait":
            self.silence.look_again(node, request, record, watch)
        return record

    def ask_each(
        self,
        nodes: Collection[str],
        request: Request,
        *,
        step: str,
        purpose: str = "step",
        phase: str = "",
        timeout_s: float | None = None,
    ) -> list[RequestRecord]:
        """Send one request that changes nothing to several nodes, side by side.

        The records are in the order of the nodes.
        """
        if len(nodes) < 2 or self.wrapper is not None:
            return [
                self.ask(
                    node, request, step=step, purpose=purpose, phase=phase, timeout_s=timeout_s
                )
                for node in nodes
            ]
        limit_s = timeout_s or self.timeout_s
        clients = [self._client(node) for node in nodes]
        were_up = [self.launcher.nodes[node].up for node in nodes]
        responses = side_by_side([partial(client.ask, request, limit_s) for client in clients])
        records = [
            self._note(
                node,
                request,
                response if was_up else without_a_node(response),
                step,
                purpose,
                phase,
                limit_s,
            )
            for node, response, was_up in zip(nodes, responses, were_up, strict=True)
        ]
        for node, record in zip(nodes, records, strict=True):
            self.silence.look_again(node, request, record)
        return records

    def ask_status_each(self, nodes: Collection[str], *, step: str) -> dict[str, NodeStatus | None]:
        """Ask nodes for their status, side by side. None when a program cannot be asked."""
        programs = {node: self.launcher.nodes[node].program for node in nodes}
        asked = [node for node in nodes if programs[node].status is not None]
        statuses = side_by_side(
            [
                partial(
                    ask_status,
                    self._client(node),
                    programs[node],
                    self.timeout_s,
                    self.launcher.client_names(node),
                )
                for node in asked
            ]
        )
        for node, status in zip(asked, statuses, strict=True):
            query = programs[node].status
            if status is not None and query is not None:
                request = Request(query.request)
                record = self._note(
                    node, request, status.response, step, "role", "", self.timeout_s
                )
                self.silence.look_again(node, request, record)
        return {**dict.fromkeys(nodes), **dict(zip(asked, statuses, strict=True))}

    def is_serving(self, node: str, *, step: str) -> bool:
        """Whether a node answers a `ping`, or a `get` where its program has no `ping`.

        A follower that refers reads to the leader serves as it should.
        """
        has_ping = "ping" in self.launcher.nodes[node].program.requests
        request = Request("ping") if has_ping else Request("get", {"key": PROBE_KEY})
        record = self.ask(node, request, step=step, purpose="wait")
        return record.outcome.kind is OutcomeKind.OK or record.outcome.reason is Reason.READ_ONLY

    def drop(self, node: str) -> None:
        """Close the connections to a node that is about to be stopped or has died."""
        for key in list(self._clients):
            if key[0] == node:
                self._close(key)

    def close(self) -> None:
        for key in list(self._clients):
            self._close(key)

    def _take_wrapper(self) -> RequestWrapper | None:
        wrapper, self.wrapper = self.wrapper, None
        return wrapper

    def _client(self, node: str) -> Client:
        key = (node, self.launcher.nodes[node].incarnation)
        if key not in self._clients:
            self.drop(node)
            self._clients[key] = self.launcher.connect(node)
        return self._clients[key]

    def _close(self, key: tuple[str, int]) -> None:
        """Close one client, and note bytes that arrived after the last reply."""
        unsolicited = b""
        with contextlib.suppress(OSError):
            unsolicited = self._clients.pop(key).close()
        if unsolicited:
            received = to_text(unsolicited)
            self.journal.write("unsolicited", node=key[0], incarnation=key[1], received=received)

    def _note_owner(self, node: str, connection: str) -> None:
        """Once for each connection: which process holds the listening port."""
        incarnation = self.launcher.nodes[node].incarnation
        key = (node, incarnation, connection)
        if key not in self._owners_noted:
            self._owners_noted.add(key)
            owner = self.launcher.port_owner(node)
            self.journal.write(
                "owner", node=node, incarnation=incarnation, connection=connection, **owner
            )

    def _note(
        self,
        node: str,
        request: Request,
        response: Response,
        step: str,
        purpose: str,
        phase: str,
        limit_s: float,
    ) -> RequestRecord:
        exchange = response.exchange
        self._note_owner(node, exchange.connection)
        with self._noting:
            record = RequestRecord(
                id=next(self._ids),
                step=step,
                purpose=purpose,
                node=node,
                incarnation=self.launcher.nodes[node].incarnation,
                verb=request.verb,
                key=request.fields.get("key"),
                value=request.fields.get("value"),
                expected=request.fields.get("expected"),
                sent=exchange.sent,
                received=exchange.received,
                invoked_s=self.journal.since_s(exchange.invoked_ns),
                completed_s=self.journal.since_s(exchange.completed_ns),
                connection=exchange.connection,
                outcome=response.outcome,
                phase=phase,
                unsolicited=exchange.unsolicited,
                allowed_s=float(limit_s),
                status=exchange.status,
                stderr=exchange.stderr,
            )
            self.journal.write("operation", **_to_json(record))
        return record


def _to_json(record: RequestRecord) -> dict[str, object]:
    fields = {
        **asdict(record),
        "sent": to_text(record.sent),
        "received": to_text(record.received),
        "unsolicited": to_text(record.unsolicited),
        "stderr": to_text(record.stderr),
        "outcome": record.outcome.to_json(),
    }
    return {
        name: value
        for name, value in fields.items()
        if value is not None and (value != "" or name not in OPTIONAL)
    }


class ObservedState(Struct):
    """What every node held for every key when the last accepted write was over.

    `baseline`: key → node → reply.
    """

    launcher: Launcher
    connections: Connections
    baseline: dict[str, Values] = field(default_factory=dict)

    def read(self, key: str, *, step: str, phase: str) -> Values:
        """The key on every node that is up and has a `get`."""
        nodes = [
            name
            for name, node in self.launcher.nodes.items()
            if node.up and "get" in node.program.requests
        ]
        records = self.connections.ask_each(
            nodes, Request("get", {"key": key}), step=step, purpose="readback", phase=phase
        )
        return {record.node: record.outcome for record in records}

    def remember(self, key: str, values: Values) -> None:
        self.baseline[key] = values


def same_value(first: Outcome | None, second: Outcome | None) -> bool | None:
    """Whether two replies show the same value. None when one of them shows none."""
    for outcome in (first, second):
        if outcome is None or outcome.kind is not OutcomeKind.OK:
            return None
    return first is not None and second is not None and first.value == second.value
