"""The roles that nodes report during a load: each node gets status requests on its own connection.

Keeps the responses as RoleSamples; judges nothing. A node that does not answer has no sample.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct

from kvsim.client.codec import Malformed, Oversize
from kvsim.client.exchange import Request
from kvsim.client.status import read_fields, role_of
from kvsim.client.stream import StreamClient
from kvsim.config.program import Query
from kvsim.history.history import RoleSample
from kvsim.workload.opener import ConnectionOpener, open_socket
from kvsim.workload.plan import LoadPlan

RESPONSE_TIMEOUT_S = 1.0
CHUNK_BYTES = 65536


class _SampledNode(Struct, eq=False):
    """One node, its connection and its request under way. `asked_ns` 0: no request is under way."""

    name: str
    client: StreamClient
    query: Query
    names: Mapping[str, Any]
    request: bytes
    sock: socket.socket | None = None
    asked_ns: int = 0
    received: bytes = b""
    due: float = 0.0
    opening: bool = False


class RoleSampler:
    """Samples all nodes whose program has a status request, on the caller's epoll.

    `clients` are those of the plan's nodes. `opener` opens what does not open at once.
    """

    def __init__(
        self,
        plan: LoadPlan,
        clients: Sequence[StreamClient],
        epoll: select.epoll,
        opener: ConnectionOpener,
    ) -> None:
        self.samples: list[RoleSample] = []
        self._every_s = plan.sample_every_s
        self._epoll, self._opener = epoll, opener
        self._nodes: list[_SampledNode] = []
        self._by_fd: dict[int, _SampledNode] = {}
        for node, client in zip(plan.nodes, clients, strict=True):
            query = node.program.status
            if query is not None:
                request = client.codec.encode(Request(query.request))
                self._nodes.append(_SampledNode(node.name, client, query, node.names, request))

    def poll(self, now: float) -> None:
        """Send the requests that are due; drop those that got no response in time."""
        for node in self._nodes:
            if node.asked_ns and time.monotonic_ns() - node.asked_ns > RESPONSE_TIMEOUT_S * 1e9:
                self._drop(node)
            if now >= node.due and not node.asked_ns and not node.opening:
                node.due = now + self._every_s
                self._ask(node)

    def _ask(self, node: _SampledNode) -> None:
        sock = node.sock or self._open(node)
        if sock is None:
            return
        node.received, node.asked_ns = b"", time.monotonic_ns()
        try:
            sock.send(node.request)
        except OSError:
            self._drop(node)

    def _open(self, node: _SampledNode) -> socket.socket | None:
        """A connection that the node takes at once; None when it does not, or while one opens."""
        sock = open_socket(node.client, 0.0) if node.client.opens_at_once else None
        if sock is None:
            node.opening = True
            self._opener.open(node.client, partial(self._opened, node))
        else:
            self._opened(node, sock)
        return sock

    def _opened(self, node: _SampledNode, sock: socket.socket | None) -> None:
        node.opening = False
        if sock is not None:
            node.sock = sock
            self._by_fd[sock.fileno()] = node
            self._epoll.register(sock.fileno(), select.EPOLLIN)

    def receive(self, fd: int) -> None:
        """Read what has arrived on one of the connections."""
        node = self._by_fd.get(fd)
        if node is None or node.sock is None:
            return
        try:
            chunk = node.sock.recv(CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._drop(node)
            return
        node.received += chunk
        self._read(node)

    def _read(self, node: _SampledNode) -> None:
        try:
            reply = node.client.codec.decoder(node.query.request).feed(node.received)
        except (Malformed, Oversize):
            self._drop(node)
            return
        if reply is None or not node.asked_ns:
            return
        text = reply.text.decode("utf-8", "surrogateescape")
        fields = read_fields(node.query, text, reply.status, reply.headers)
        role = role_of(node.query, fields.get("role"), node.names)
        if role is not None:
            self.samples.append(role_sample(node.name, str(role), fields, node.asked_ns))
        node.asked_ns = 0

    def _drop(self, node: _SampledNode) -> None:
        if node.sock is not None:
            self._by_fd.pop(node.sock.fileno(), None)
            with contextlib.suppress(OSError):
                self._epoll.unregister(node.sock.fileno())
            node.sock.close()
        node.sock, node.asked_ns = None, 0

    def close(self) -> None:
        for node in self._nodes:
            self._drop(node)


def role_sample(node: str, role: str, fields: Mapping[str, str], asked_ns: int) -> RoleSample:
    """The sample of a status response that arrives now; `fields` are those of the response."""
    term, index = _number(fields.get("term")), _number(fields.get("index"))
    return RoleSample(time.monotonic_ns(), node, role, term, index, asked_ns)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
