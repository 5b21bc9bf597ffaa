"""A small real server for loads: a dict behind the line protocol, told to misbehave by its keys."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kvsim.config.program_file import load_program
from kvsim.load.plan import LoadPlan, NodePlan


@dataclass
class Server:
    """`refuses`: it says that the leader is on this port. `swallows`: every n-th request is never answered. `hangs_up`: … ends
    the connection. `tells`: a compare-and-set is told which value it met."""

    refuses: int = 0
    swallows: int = 0
    hangs_up: int = 0
    tells: bool = True
    data: dict[str, str] = field(default_factory=dict)
    asked: int = 0

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
                return '{"role": "%s", "epoch": 3}' % ("follower" if self.refuses else "leader")
            self.asked += 1
            if self.refuses and words[0] != "GET":
                return f"ERR read-only, leader is on port {self.refuses}"
            reply = getattr(self, words[0].lower())(*words[1:])
            if self.swallows and self.asked % self.swallows == 0:
                return ""
            return "close" if self.hangs_up and self.asked % self.hangs_up == 0 else reply

    def put(self, key: str, value: str) -> str:
        self.data[key] = value
        return "OK"

    def get(self, key: str) -> str:
        return f"VALUE {self.data[key]}" if key in self.data else "NOT_FOUND"

    def delete(self, key: str) -> str:
        return "OK" if self.data.pop(key, None) is not None else "NOT_FOUND"

    def cas(self, key: str, size: str, expected: str, value: str) -> str:
        if self.data.get(key) != expected:
            return f"MISMATCH {self.data[key]}" if key in self.data and self.tells else "MISMATCH"
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
    """Start a server; all are closed again."""
    servers: list[Server] = []

    def start(**how: int) -> Server:
        servers.append(Server(**how))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def planned(root: Path, tmp_path: Path):
    """A plan for a load on these servers, all of them speaking as the reference store does."""
    problems: list = []
    program = load_program(str(root / "nodes/kvstore/node.yaml"), root, problems)
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
