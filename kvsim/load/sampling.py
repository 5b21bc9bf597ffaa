"""Who says what of itself, all through a load: every node is asked its status on a connection of its own, again and again.

Asks and keeps the answers as RoleSamples; judges nothing. A node that does not answer has no sample, which is what that means.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from dataclasses import dataclass, field

from kvsim.client.codec import Malformed, Oversize
from kvsim.client.connect import connect
from kvsim.client.exchange import Request
from kvsim.client.status import read_fields, role_of
from kvsim.client.stream import StreamClient
from kvsim.client.wire import Broken
from kvsim.history.history import RoleSample
from kvsim.load.plan import LoadPlan, NodePlan

CONNECT_TIMEOUT_S = 0.05
ANSWER_WITHIN_S = 1.0


@dataclass(eq=False)
class _Asked:
    """One node: its connection and the question under way."""

    node: NodePlan
    client: StreamClient
    request: bytes
    sock: socket.socket | None = None
    asked_ns: int = 0  # 0: no question is under way
    got: bytes = b""
    due: float = 0.0


@dataclass
class Sampler:
    """Samples of all nodes whose program can be asked."""

    plan: LoadPlan
    samples: list[RoleSample] = field(default_factory=list)
    _asked: list[_Asked] = field(default_factory=list)
    _by_fd: dict[int, _Asked] = field(default_factory=dict)
    _poll: select.epoll | None = None

    def __post_init__(self) -> None:
        for node in self.plan.nodes:
            client = connect(node.program, node.host, node.port, names=node.names)
            query = node.program.status
            if query is not None and isinstance(client, StreamClient) and client.lasting:
                self._asked.append(_Asked(node, client, client.codec.encode(Request(query.request))))

    def look(self, now: float, poll: select.epoll) -> None:
        """Ask whoever is due; give up on who has not answered for long."""
        self._poll = poll
        for one in self._asked:
            if one.asked_ns and time.monotonic_ns() - one.asked_ns > ANSWER_WITHIN_S * 1e9:
                self._drop(one)
            if now >= one.due and not one.asked_ns:
                one.due = now + self.plan.sample_every_s
                self._ask(one)

    def _ask(self, one: _Asked) -> None:
        if one.sock is None and not self._open(one):
            return
        one.got, one.asked_ns = b"", time.monotonic_ns()
        try:
            one.sock.send(one.request)  # type: ignore[union-attr]
        except OSError:
            self._drop(one)

    def _open(self, one: _Asked) -> bool:
        try:
            one.sock = one.client.hand_over(time.monotonic() + CONNECT_TIMEOUT_S)
        except Broken:
            return False
        self._by_fd[one.sock.fileno()] = one
        self._poll.register(one.sock.fileno(), select.EPOLLIN)  # type: ignore[union-attr]
        return True

    def receive(self, fd: int) -> None:
        """Read what came on one of our connections."""
        one = self._by_fd.get(fd)
        if one is None or one.sock is None:
            return
        try:
            chunk = one.sock.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._drop(one)
            return
        one.got += chunk
        self._read(one)

    def _read(self, one: _Asked) -> None:
        query = one.node.program.status
        try:
            reply = one.client.codec.decoder(query.request).feed(one.got)  # type: ignore[union-attr]
        except (Malformed, Oversize):
            self._drop(one)
            return
        if reply is None or not one.asked_ns:
            return
        fields = read_fields(query, reply.text.decode("utf-8", "surrogateescape"))  # type: ignore[arg-type]
        role = role_of(query, fields.get("role"))  # type: ignore[arg-type]
        if role is not None:
            epoch, index = _number(fields.get("epoch")), _number(fields.get("index"))
            self.samples.append(
                RoleSample(time.monotonic_ns(), one.node.name, str(role), epoch, index, one.asked_ns)
            )
        one.asked_ns = 0

    def _drop(self, one: _Asked) -> None:
        if one.sock is not None:
            self._by_fd.pop(one.sock.fileno(), None)
            with contextlib.suppress(OSError):
                self._poll.unregister(one.sock.fileno())  # type: ignore[union-attr]
            one.sock.close()
        one.sock, one.asked_ns = None, 0

    def close(self) -> None:
        for one in self._asked:
            self._drop(one)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None
