"""Kill during a request: nodes are killed a set time after a request was sent.

The nodes run until the first request of the scope. A thread sends the signal, because the main
thread waits for the answer meanwhile. Evidence: that of a kill, how long after the request the
signal was sent, and whether the request had been answered by then. In that case the kill came
after the request, not during it. Recovery starts the nodes.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from kvsim.client.exchange import Response
from kvsim.faults.fault import Evidence, Recovery
from kvsim.faults.node_handle import NodeHandle, evidence_of_end, names_of, start_again
from kvsim.process.identity import Identity

# Sends one request; it calls its argument when the request has been sent.
SendRequest = Callable[[Callable[[], None]], Response]

# Called around one request.
RequestWrapper = Callable[[SendRequest], Response]

NS = 1_000_000_000


class KillDuringRequest(Struct):
    """`after_s`: the time from the first request to the signal. `wrap` is called around it."""

    handles: tuple[NodeHandle, ...]
    after_s: float
    signal: str = "KILL"
    kind: str = "kill"
    delayed: DelayedSignal | None = None

    @property
    def nodes(self) -> tuple[str, ...]:
        return names_of(self.handles)

    def plan(self) -> Mapping[str, Any]:
        return {"signal": self.signal, "after_request_ms": round(self.after_s * 1000, 3)}

    def begin(self) -> Sequence[Evidence]:
        return ()

    def wrap(self, send: SendRequest) -> Response:
        """Send the request and the signal; returns when both are done.

        Raises NodeFailed for a node that survives.
        """
        processes = [process for handle in self.handles for process in handle.tree()]
        number = signal.Signals[f"SIG{self.signal}"]
        self.delayed = DelayedSignal(processes, number, self.after_s)
        response = self.delayed.during(send)
        if self.delayed.delivered:
            for handle in self.handles:
                handle.expect_end()
            for handle in self.handles:
                handle.record_kill(self.signal, self.delayed.message)
        return response

    def measure(self) -> Sequence[Evidence]:
        return [self._evidence(handle) for handle in self.handles]

    def recover(self) -> Sequence[Recovery]:
        return [start_again(handle) for handle in self.handles]

    def _evidence(self, handle: NodeHandle) -> Evidence:
        name = handle.name
        if self.delayed is None:
            return Evidence(name, None, f"no request was sent, so {name} was not killed")
        if not self.delayed.delivered:
            return Evidence(name, False, f"{name} was not killed: {self.delayed.message}")
        killed = evidence_of_end(handle)
        measured = {**killed.measured, **self.delayed.measured}
        message = f"{killed.message}; {self.delayed.message}"
        return Evidence(name, killed.took_effect, message, measured)


class DelayedSignal(Struct):
    """One signal, sent `after_s` after a request was sent.

    Times are `time.monotonic_ns()`, 0 while it has not happened. `answered_ns`: when a whole reply
    had arrived. `delivered`: a process received the signal.
    """

    processes: Sequence[Identity]
    number: int
    after_s: float
    sent_ns: int = 0
    signalled_ns: int = 0
    answered_ns: int = 0
    delivered: bool = False
    _request_sent: threading.Event = field(default_factory=threading.Event)

    def during(self, send: SendRequest) -> Response:
        """Send the request, and the signal from a thread."""
        thread = threading.Thread(target=self._signal, name="kill-during-request", daemon=True)
        thread.start()
        try:
            response = send(self._note_sent)
            exchange = response.exchange
            self.answered_ns = 0 if exchange.failure else exchange.completed_ns
            return response
        finally:
            self._request_sent.set()
            thread.join()

    def _note_sent(self) -> None:
        self.sent_ns = time.monotonic_ns()
        self._request_sent.set()

    def _signal(self) -> None:
        self._request_sent.wait()
        # The request failed before it was sent, or its client does not report when it was sent.
        if not self.sent_ns:
            return
        time.sleep(max(0.0, (self.sent_ns - time.monotonic_ns()) / NS + self.after_s))
        self.signalled_ns = time.monotonic_ns()
        received = [process.signal(self.number) for process in self.processes]
        self.delivered = any(received)

    @property
    def in_flight(self) -> bool:
        """The request had not been answered when the signal was sent."""
        return self.delivered and not 0 < self.answered_ns <= self.signalled_ns

    @property
    def measured(self) -> Mapping[str, Any]:
        measured: dict[str, Any] = {
            "in_flight": self.in_flight,
            "kill_ms": _ms(self.signalled_ns - self.sent_ns),
        }
        if self.answered_ns:
            measured["answered_ms"] = _ms(self.answered_ns - self.sent_ns)
        return measured

    @property
    def message(self) -> str:
        if not self.sent_ns:
            return "the request was not sent, or its client does not report when"
        if not self.delivered:
            return "it had ended by itself by then"
        when = f"killed {_ms(self.signalled_ns - self.sent_ns)} ms after the request was sent"
        if self.in_flight:
            return f"{when}, during it"
        answer_ms = _ms(self.answered_ns - self.sent_ns)
        return (
            f"{when}; the answer came after {answer_ms} ms, so after the request and not during it"
        )


def _ms(ns: int) -> float:
    return round(ns / 1e6, 3)
