"""The event loop of the link proxies: bytes in both directions, by the rules of a link.

One epoll, no thread. Runs in its own process (`proxy_worker`, `proxy_daemon`). It has links and
rules; which node a link leads to is not known here.
"""

from __future__ import annotations

import contextlib
import heapq
import random
import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable

from msgspec import Struct, field

from kvsim.network.rules import (
    DIRECTIONS,
    DOWNSTREAM,
    PASS,
    UPSTREAM,
    DeliverySchedule,
    LinkClock,
    LinkRule,
    LinkStats,
)

RECV_BYTES = 65536

# In one direction of a connection; above this the sender has to wait.
HELD_BYTES_MAX = 1 << 20

RESET = struct.pack("ii", 1, 0)
IN, OUT = select.EPOLLIN, select.EPOLLOUT


class Route(Struct, frozen=True):
    """One listening address of a link, and the address it leads to."""

    link: str
    listen: tuple[str, int]
    target: tuple[str, int]


class Link(Struct, eq=False):
    """One directed pair: its open connections, and by direction its rules, counters and clocks."""

    name: str
    rules: dict[str, LinkRule] = field(default_factory=lambda: dict.fromkeys(DIRECTIONS, PASS))
    stats: dict[str, LinkStats] = field(
        default_factory=lambda: {direction: LinkStats() for direction in DIRECTIONS}
    )
    clocks: dict[str, LinkClock] = field(
        default_factory=lambda: {direction: LinkClock() for direction in DIRECTIONS}
    )
    connections: set[ProxiedConnection] = field(default_factory=set)


class DirectionBuffer(Struct, eq=False):
    """Bytes between one socket and the other.

    `queue` holds (due time, arrival time, bytes). Due time None: not before the rule changes.
    """

    connection: ProxiedConnection
    direction: str
    source: socket.socket
    sink: socket.socket
    schedule: DeliverySchedule
    queue: deque[tuple[float | None, float, bytes]] = field(default_factory=deque)
    held: int = 0
    # The source sent its end of stream; it was passed on to the sink; the sink's buffer is full.
    ended: bool = False
    shut: bool = False
    blocked: bool = False


class ProxiedConnection(Struct, eq=False):
    """One connection through a link. `tainted`: bytes of it were swallowed."""

    link: Link
    near: socket.socket
    far: socket.socket
    connected: bool = False
    tainted: bool = False
    buffers: dict[str, DirectionBuffer] = field(default_factory=dict)


class Proxy:
    """All links of one process."""

    def __init__(self, routes: list[Route], seed: str) -> None:
        """Listen on every route. Raises OSError."""
        self.links = {route.link: Link(route.link) for route in routes}
        self._random = random.Random(seed)
        self._poll = select.epoll()
        self._listeners: dict[int, tuple[socket.socket, Route]] = {}
        # descriptor -> connection, and the direction of the bytes that are read from it
        self._sockets: dict[int, tuple[ProxiedConnection, str]] = {}
        # A heap; the ticket orders entries with equal times.
        self._due: list[tuple[float, int, DirectionBuffer]] = []
        self._ticket = 0
        for route in routes:
            self._listen(route)

    # --- the loop -----------------------------------------------------------------------------

    def watch(self, fd: int, on_readable: Callable[[], None]) -> None:
        """Call `on_readable` when this descriptor is readable: for requests of the parent."""
        self._watched, self._on_readable = fd, on_readable
        self._poll.register(fd, IN)

    def run_once(self) -> None:
        """Wait for the next events and handle them."""
        for fd, events in self._poll.poll(self._wait_s()):
            if fd == self._watched:
                self._on_readable()
            elif fd in self._listeners:
                self._accept(*self._listeners[fd])
            elif fd in self._sockets:
                self._handle(*self._sockets[fd], events)
        now_s = time.monotonic()
        while self._due and self._due[0][0] <= now_s:
            self._forward_due(heapq.heappop(self._due)[2])

    def close(self) -> None:
        for link in self.links.values():
            for connection in list(link.connections):
                self._end(connection)
        for listener, _ in self._listeners.values():
            listener.close()
        self._poll.close()

    def _wait_s(self) -> float:
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else -1

    # --- rules --------------------------------------------------------------------------------

    def set_rule(self, name: str, direction: str, rule: LinkRule) -> None:
        """Set the rule of one direction of a link. It holds for open connections at once."""
        link = self.links[name]
        # The usual rule is one object, so that `_receive` can compare by identity.
        rule = PASS if rule == PASS else rule
        before, link.rules[direction] = link.rules[direction], rule
        link.clocks[direction] = LinkClock()
        for connection in list(link.connections):
            if rule.mode == "cut":
                link.stats[direction].resets += 1
                self._end(connection, reset=True)
            elif before.mode == "blackhole" and rule.mode != "blackhole" and connection.tainted:
                self._end(connection, reset=True)
            elif before is not rule:
                self._release(connection.buffers[direction])

    def reset_stats(self, name: str) -> None:
        """Count from zero."""
        self.links[name].stats = {direction: LinkStats() for direction in DIRECTIONS}

    def _release(self, buffer: DirectionBuffer) -> None:
        """Forward now what the previous rule has held."""
        now_s = time.monotonic()
        buffer.queue = deque((now_s, arrived_s, data) for _, arrived_s, data in buffer.queue)
        clock = buffer.connection.link.clocks[buffer.direction]
        buffer.schedule = DeliverySchedule(self._random, clock)
        self._forward_due(buffer)

    # --- connections --------------------------------------------------------------------------

    def _listen(self, route: Route) -> None:
        listener = socket.create_server(route.listen, backlog=256)
        listener.setblocking(False)
        self._listeners[listener.fileno()] = (listener, route)
        self._poll.register(listener.fileno(), IN)

    def _accept(self, listener: socket.socket, route: Route) -> None:
        with contextlib.suppress(OSError):
            near, _ = listener.accept()
            link = self.links[route.link]
            if any(rule.mode == "cut" for rule in link.rules.values()):
                link.stats[UPSTREAM].refused += 1
                _reset(near)
                return
            self._open(link, near, route.target)

    def _open(self, link: Link, near: socket.socket, target: tuple[str, int]) -> None:
        far = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET)
        connection = ProxiedConnection(link, near, far)
        for sock in (near, far):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for direction, source, sink in ((UPSTREAM, near, far), (DOWNSTREAM, far, near)):
            schedule = DeliverySchedule(self._random, link.clocks[direction])
            connection.buffers[direction] = DirectionBuffer(
                connection, direction, source, sink, schedule
            )
            self._sockets[source.fileno()] = (connection, direction)
        link.connections.add(connection)
        self._poll.register(near.fileno(), IN)
        self._poll.register(far.fileno(), IN | OUT)
        try:
            far.connect(target)
        except BlockingIOError:
            return
        except OSError:
            self._end(connection, reset=True)

    def _handle(self, connection: ProxiedConnection, direction: str, events: int) -> None:
        """Handle events of the socket that `direction` reads; the other direction writes to it."""
        written = connection.buffers[_opposite(direction)]
        if events & OUT:
            if not connection.connected and direction == DOWNSTREAM:
                if connection.far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._end(connection, reset=True)
                    return
                connection.connected = True
            written.blocked = False
            self._update_events(written.sink)
            self._forward_due(written)
        if events & ~OUT and connection in connection.link.connections:
            self._read(connection, connection.buffers[direction])

    def _end(self, connection: ProxiedConnection, *, reset: bool = False) -> None:
        connection.link.connections.discard(connection)
        for sock in (connection.near, connection.far):
            if self._sockets.pop(sock.fileno(), None) is not None:
                self._poll.unregister(sock.fileno())
            _reset(sock) if reset else sock.close()

    # --- bytes --------------------------------------------------------------------------------

    def _read(self, connection: ProxiedConnection, buffer: DirectionBuffer) -> None:
        try:
            data = buffer.source.recv(RECV_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._end(connection, reset=True)
            return
        if not data:
            buffer.ended = True
            rule = connection.link.rules[buffer.direction]
            connection.tainted |= rule.mode == "blackhole"
            self._update_events(buffer.source)
            self._forward_due(buffer)
            return
        self._receive(connection, buffer, data)

    def _receive(self, connection: ProxiedConnection, buffer: DirectionBuffer, data: bytes) -> None:
        """Apply the rule to a chunk that arrived."""
        rule = connection.link.rules[buffer.direction]
        stats = connection.link.stats[buffer.direction]
        now_s = time.monotonic()
        stats.offered += len(data)
        if rule.reset_probability and self._random.random() < rule.reset_probability:
            stats.resets += 1
            self._end(connection, reset=True)
        elif rule.mode == "blackhole":
            stats.swallowed += len(data)
            connection.tainted = True
        elif rule.mode == "stall":
            self._hold(buffer, None, now_s, data)
        elif rule is PASS and not buffer.queue and connection.connected:
            self._send(buffer, data, now_s, now_s)
        else:
            for due_s, piece in buffer.schedule.plan(rule, data, now_s):
                self._hold(buffer, due_s, now_s, piece)
            self._forward_due(buffer)

    def _hold(
        self, buffer: DirectionBuffer, due_s: float | None, arrived_s: float, data: bytes
    ) -> None:
        buffer.queue.append((due_s, arrived_s, data))
        buffer.held += len(data)
        if buffer.held > HELD_BYTES_MAX:
            self._update_events(buffer.source)

    def _forward_due(self, buffer: DirectionBuffer) -> None:
        """Forward what is due, and schedule the next call."""
        connection = buffer.connection
        if connection not in connection.link.connections or not connection.connected:
            return
        now_s = time.monotonic()
        was_full = buffer.held > HELD_BYTES_MAX
        while buffer.queue and not buffer.blocked:
            due_s, arrived_s, data = buffer.queue[0]
            if due_s is None:
                break
            if due_s > now_s:
                self._ticket += 1
                heapq.heappush(self._due, (due_s, self._ticket, buffer))
                break
            buffer.queue.popleft()
            buffer.held -= len(data)
            if not self._send(buffer, data, arrived_s, now_s):
                return
        if was_full and buffer.held <= HELD_BYTES_MAX:
            self._update_events(buffer.source)
        swallows = connection.link.rules[buffer.direction].mode == "blackhole"
        if buffer.ended and not buffer.queue and not buffer.shut and not swallows:
            self._shut(buffer)

    def _send(self, buffer: DirectionBuffer, data: bytes, arrived_s: float, now_s: float) -> bool:
        """Send; what the sink does not accept stays first in the queue. False: connection ended."""
        try:
            sent = buffer.sink.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end(buffer.connection, reset=True)
            return False
        if sent:
            stats = buffer.connection.link.stats[buffer.direction]
            stats.count_forwarded(sent, now_s - arrived_s, now_s)
        if sent < len(data):
            buffer.queue.appendleft((now_s, arrived_s, data[sent:]))
            buffer.held += len(data) - sent
            buffer.blocked = True
            self._update_events(buffer.sink)
        return True

    def _shut(self, buffer: DirectionBuffer) -> None:
        """Pass the end of stream on; close the connection when both directions have ended."""
        buffer.shut = True
        with contextlib.suppress(OSError):
            buffer.sink.shutdown(socket.SHUT_WR)
        if all(other.shut for other in buffer.connection.buffers.values()):
            self._end(buffer.connection)

    def _update_events(self, sock: socket.socket) -> None:
        """Wait for input unless the stream has ended or too much is held, for output if blocked."""
        connection, direction = self._sockets[sock.fileno()]
        read, written = connection.buffers[direction], connection.buffers[_opposite(direction)]
        wants_input = not read.ended and read.held <= HELD_BYTES_MAX
        events = (IN if wants_input else 0) | (OUT if written.blocked else 0)
        self._poll.modify(sock.fileno(), events)


def _opposite(direction: str) -> str:
    return DOWNSTREAM if direction == UPSTREAM else UPSTREAM


def _reset(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()
