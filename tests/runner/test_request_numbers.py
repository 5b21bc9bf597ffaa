"""The requests of a journal are numbered in its order, also where several threads ask."""

from __future__ import annotations

import threading
from types import SimpleNamespace

from kvsim.client.exchange import Exchange, Request, Response
from kvsim.history.outcome import Outcome, OutcomeKind
from kvsim.runner.connections import Connections

NODES = ("n1", "n2", "n3")
REQUESTS = 50


class Client:
    """A client whose node answers at once."""

    def ask(self, request: Request, timeout_s: float) -> Response:
        return Response(Exchange(request.verb, b"?", b"!", 0, 1), Outcome(OutcomeKind.OK))

    def close(self) -> bytes:
        return b""


class SlowJournal:
    """A journal in which another thread may overtake between the number and the line."""

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def since_s(self, monotonic_ns: int) -> float:
        return 0.0

    def write(self, kind: str, **fields: object) -> None:
        if kind == "operation":
            # Others may run here.
            threading.Event().wait(0.0001)
            self.numbers.append(int(str(fields["id"])))


def test_numbers_are_in_the_order_of_the_lines():
    node = SimpleNamespace(up=True, incarnation=1, program=SimpleNamespace(requests={"get": None}))
    launcher = SimpleNamespace(
        nodes=dict.fromkeys(NODES, node),
        connect=lambda name: Client(),
        port_owner=lambda name: {"owned": True},
        timeouts=SimpleNamespace(of=lambda timeout: 1.0),
    )
    journal = SlowJournal()
    connections = Connections(launcher, journal, 1.0)

    def ask(name: str) -> None:
        for _ in range(REQUESTS):
            connections.ask(name, Request("get", {"key": "k"}), step="1", purpose="final")

    threads = [threading.Thread(target=ask, args=(name,)) for name in NODES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert journal.numbers == list(range(1, 1 + len(NODES) * REQUESTS))
