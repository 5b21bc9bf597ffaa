"""A small real server for loads: a dict behind the line protocol, with faults on request."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kvsim.config.program_loader import load_program
from kvsim.runner.registry import REGISTRY
from kvsim.workload.plan import LoadPlan, NodePlan


@dataclass
class Server:
    """A server with faults.

    `refuses`: it refuses writes, and names the leader on this port. `drops`: every n-th request
    gets no reply. `disconnects`: every n-th request ends the connection. `names_value`: the reply
    to a compare-and-set that did not match has the value that was there.
    """

    refuses: int = 0
    drops: int = 0
    disconnects: int = 0
    names_value: bool = True
    data: dict[str, str] = field(default_factory=dict)
    requests: int = 0

    def __post_init__(self) -> None:
        self.lock = threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.threads: list[threading.Thread] = []
        self.connections: list[socket.socket] = []
        self._spawn(self._accept)

    def _spawn(self, target, *args) -> None:
        thread = threading.Thread(target=target, args=args)
        self.threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            self._spawn(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rwb", buffering=0) as stream:
            try:
                for line in stream:
                    reply = self._reply(line.decode().split())
                    if reply == "close":
                        return
                    if reply:
                        stream.write(reply.encode() + b"\n")
            except OSError:
                return

    def _reply(self, words: list[str]) -> str:
        with self.lock:
            if words[0] == "STATUS":
                return '{"role": "%s", "term": 3}' % ("follower" if self.refuses else "leader")
            self.requests += 1
            if self.refuses and words[0] != "GET":
                return f"ERR read-only, leader is on port {self.refuses}"
            reply = getattr(self, words[0].lower())(*words[1:])
            if self.drops and self.requests % self.drops == 0:
                return ""
            return "close" if self.disconnects and self.requests % self.disconnects == 0 else reply

    def put(self, key: str, value: str) -> str:
        self.data[key] = value
        return "OK"

    def get(self, key: str) -> str:
        return f"VALUE {self.data[key]}" if key in self.data else "NOT_FOUND"

    def delete(self, key: str) -> str:
        return "OK" if self.data.pop(key, None) is not None else "NOT_FOUND"

    def cas(self, key: str, size: str, expected: str, value: str) -> str:
        if self.data.get(key) != expected:
            return (
                f"MISMATCH {self.data[key]}"
                if key in self.data and self.names_value
                else "MISMATCH"
            )
        return self.put(key, value)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in self.threads:
            thread.join()


@pytest.fixture
def serve() -> Iterator:
    """A function that starts a server. All servers are closed at the end."""
    servers: list[Server] = []

    def start(**faults: int) -> Server:
        servers.append(Server(**faults))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def planned(root: Path, tmp_path: Path):
    """A function that plans a load on servers that speak the reference store's protocol."""
    problems: list = []
    program = load_program(str(root / "nodes/kvstore/node.yaml"), root, problems, REGISTRY)
    assert not problems

    def plan(*servers: Server, **changes) -> LoadPlan:
        nodes = tuple(
            NodePlan(f"n{number}", "127.0.0.1", server.port, program, number, {}, (server.port,))
            for number, server in enumerate(servers, 1)
        )
        values = {
            "name": "w",
            "out": tmp_path / "w.history",
            "nodes": nodes,
            "writes_at": ("n1",),
            "reads_at": ("n1",),
            "follow": True,
            "clients": 4,
            "mix": {"put": 45, "get": 45, "delete": 10},
            "keys": ("a", "b", "c"),
            "skew": 0.0,
            "rate": None,
            "timeout_s": 30.0,
            "seed": "1",
            "process": 1000,
            "tag": "w-",
            "stop_after": 400,
        }
        return LoadPlan(**{**values, **changes})

    return plan
