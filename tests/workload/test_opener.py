"""Connections that a node does not give at once are waited for beside the load, not in it."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from kvsim.client.connect import connect
from kvsim.config.program import Speak
from kvsim.workload.event_loop import EventLoop
from kvsim.workload.plan import LoadPlan

SILENT_S = 60.0


@contextmanager
def greeter(port: int, greets: threading.Event) -> Iterator[int]:
    """A port that passes connections on to a server, after a greeting when the event is set."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    threads: list[threading.Thread] = []
    opened: list[socket.socket] = []

    def spawn(*work) -> None:
        threads.append(threading.Thread(target=work[0], args=work[1:], daemon=True))
        threads[-1].start()

    def copy(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(4096):
                sink.sendall(data)
        except OSError:
            return

    def serve(client: socket.socket) -> None:
        greets.wait(SILENT_S)
        try:
            client.sendall(b"HELLO\n")
            server = socket.create_connection(("127.0.0.1", port))
        except OSError:
            return
        opened.append(server)
        spawn(copy, server, client)
        copy(client, server)

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            opened.append(client)
            spawn(serve, client)

    spawn(accept)
    yield listener.getsockname()[1]
    greets.set()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for connection in opened:
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue
    for thread in threads:
        thread.join(5)
    for connection in opened:
        connection.close()


def with_greeting(plan: LoadPlan, *ports: int) -> LoadPlan:
    program = plan.nodes[0].program
    program = replace(program, speak=Speak("lines", {**program.speak.settings, "greeting": 1}))
    nodes = tuple(
        replace(node, port=port, program=program)
        for node, port in zip(plan.nodes, ports, strict=True)
    )
    return replace(plan, nodes=nodes)


def run(plan: LoadPlan) -> Counter[str]:
    """How many operations each node answered."""
    clients = [connect(node.program, node.host, node.port, names={}) for node in plan.nodes]
    loop = EventLoop(plan, clients, lambda: False)
    loop.run()
    return Counter(operation.node for operation in loop.recorder.operations)


def test_a_node_that_sends_no_greeting_stops_no_other_client(serve, planned):
    first, second = serve(), serve()
    now, never = threading.Event(), threading.Event()
    now.set()
    with greeter(first.port, now) as fast, greeter(second.port, never) as silent:
        plan = planned(first, second, timeout_s=SILENT_S, writes_at=("n1", "n2"), follow=False)
        plan = replace(plan, reads_at=plan.writes_at)
        # It ends long before the silent node's time is over.
        assert run(with_greeting(plan, fast, silent)) == {"n1": 400}
        assert not never.is_set()


def test_a_late_greeting_is_waited_for(serve, planned):
    server, greets = serve(), threading.Event()
    with greeter(server.port, greets) as port:
        timer = threading.Timer(0.3, greets.set)
        timer.start()
        assert run(with_greeting(planned(server, timeout_s=SILENT_S), port)) == {"n1": 400}
        timer.join()
