"""kvsim's conversations with the nodes: one client a node, every operation journaled, every answering process identified.

The only place in a run where a request is sent. Knows nothing of steps; the caller says for which step and purpose it asks.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable
from dataclasses import replace

from kvsim.client.exchange import Answer, Client, Request
from kvsim.client.status import NodeStatus, ask_status
from kvsim.history.journal import Journal, to_text
from kvsim.history.record import OPTIONAL, Operation
from kvsim.launcher.launcher import Launcher

Strike = Callable[[Callable[[Callable[[], None]], Answer]], Answer]


class Sessions:
    """Ask nodes and record what was asked and answered."""

    def __init__(self, launcher: Launcher, journal: Journal, timeout_s: float) -> None:
        self.launcher = launcher
        self.journal = journal
        self.timeout_s = timeout_s
        self._clients: dict[tuple[str, int], Client] = {}
        self._owners_known: set[tuple[str, int, str]] = set()
        self._ids = itertools.count(1)
        self.strike: Strike | None = None  # goes around the next request of a step, once

    def ask(
        self,
        node: str,
        request: Request,
        *,
        step: str,
        purpose: str = "step",
        phase: str = "",
        timeout_s: float | None = None,
    ) -> Operation:
        """Send one request and journal it. Never raises for what the node does."""
        client = self._client(node)
        allowed_s = timeout_s or self.timeout_s
        strike, self.strike = (self.strike, None) if purpose == "step" else (None, self.strike)
        answer = (
            strike(lambda told: client.ask(replace(request, when_sent=told), allowed_s))
            if strike
            else client.ask(request, allowed_s)
        )
        self._note_owner(node, answer.exchange.connection)
        return self._note(node, request, answer, step, purpose, phase, allowed_s)

    def ask_status(self, node: str, *, step: str) -> NodeStatus | None:
        """Ask a node who it is. None when its program cannot be asked."""
        program = self.launcher.nodes[node].program
        status = ask_status(self._client(node), program, self.timeout_s)
        if status is not None:
            self._note_owner(node, status.answer.exchange.connection)
            self._note(node, Request(program.status.request), status.answer, step, "role", "", self.timeout_s)
        return status

    def drop(self, node: str) -> None:
        """Forget the connections to a node, which is about to be stopped or has died."""
        for key in [key for key in self._clients if key[0] == node]:
            self._close(key)

    def close(self) -> None:
        for key in list(self._clients):
            self._close(key)

    def _client(self, node: str) -> Client:
        key = (node, self.launcher.nodes[node].incarnation)
        if key not in self._clients:
            self.drop(node)
            self._clients[key] = self.launcher.connect(node)
        return self._clients[key]

    def _close(self, key: tuple[str, int]) -> None:
        surplus = b""
        with contextlib.suppress(OSError):
            surplus = self._clients.pop(key).close()
        if surplus:
            self.journal.write("surplus", node=key[0], incarnation=key[1], received=to_text(surplus))

    def _note_owner(self, node: str, connection: str) -> None:
        """Once a connection: which process holds the listening port it went to."""
        key = (node, self.launcher.nodes[node].incarnation, connection)
        if key not in self._owners_known:
            self._owners_known.add(key)
            owner = self.launcher.port_owner(node)
            self.journal.write("owner", node=node, incarnation=key[1], connection=connection, **owner)

    def _note(
        self,
        node: str,
        request: Request,
        answer: Answer,
        step: str,
        purpose: str,
        phase: str,
        allowed_s: float,
    ) -> Operation:
        exchange = answer.exchange
        operation = Operation(
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
            outcome=answer.outcome,
            phase=phase,
            unsolicited=exchange.unsolicited,
            allowed_s=float(allowed_s),
        )
        self.journal.write("operation", **_fields(operation))
        return operation


def _fields(operation: Operation) -> dict[str, object]:
    fields = {
        **vars(operation),
        "sent": to_text(operation.sent),
        "received": to_text(operation.received),
        "unsolicited": to_text(operation.unsolicited),
        "outcome": operation.outcome.to_json(),
    }
    return {
        name: value for name, value in fields.items() if value is not None and (value or name not in OPTIONAL)
    }
