"""The link proxies' loop: accepts, connects, carries bytes both ways by the rules of their link. One epoll, no thread.

Knows links and rules; nothing of nodes, scenarios or faults. Runs in a process of its own (`__main__.py`).
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
from dataclasses import dataclass, field

from kvsim.faults.links.rules import PASS, WAYS, Lane, Pace, Rule, Seen

RECV_BYTES = 65536
HELD_BYTES_MAX = 1 << 20  # of one flow; then its sender has to wait
RESET = struct.pack("ii", 1, 0)
IN, OUT = select.EPOLLIN, select.EPOLLOUT


@dataclass(frozen=True)
class Road:
    """One listening port of a link, and where it leads."""

    link: str
    listen: tuple[str, int]
    target: tuple[str, int]


@dataclass(eq=False)
class Link:
    """One directed pair: its rules and what it has seen, by way."""

    name: str
    rules: dict[str, Rule] = field(default_factory=lambda: dict.fromkeys(WAYS, PASS))
    seen: dict[str, Seen] = field(default_factory=lambda: {way: Seen() for way in WAYS})
    lanes: dict[str, Lane] = field(default_factory=lambda: {way: Lane() for way in WAYS})
    pairs: set[Pair] = field(default_factory=set)


@dataclass(eq=False)
class Flow:
    """Bytes from one socket to the other. `queue` holds (when, arrived, bytes); when None: not before the rule changes."""

    pair: Pair
    way: str
    source: socket.socket
    sink: socket.socket
    pace: Pace
    queue: deque = field(default_factory=deque)
    held: int = 0
    ended: bool = False  # the source has said all
    shut: bool = False  # the sink has been told
    blocked: bool = False  # the sink takes nothing now


@dataclass(eq=False)
class Pair:
    """One connection through a link. `tainted`: bytes of it were swallowed."""

    link: Link
    near: socket.socket
    far: socket.socket
    connected: bool = False
    tainted: bool = False
    flows: dict[str, Flow] = field(default_factory=dict)


class Pump:
    """Carry bytes until told to stop."""

    def __init__(self, roads: list[Road], seed: str) -> None:
        self.links = {road.link: Link(road.link) for road in roads}
        self._random = random.Random(seed)
        self._poll = select.epoll()
        self._roads: dict[int, tuple[socket.socket, Road]] = {}
        self._flows: dict[int, tuple[Pair, str]] = {}  # file → the pair, and the way of what is read there
        self._due: list[tuple[float, int, Flow]] = []
        self._ticket = 0
        for road in roads:
            self._listen(road)

    # --- the loop ----------------------------------------------------------------------------------------------------

    def watch(self, fd: int, act: Callable[[], None]) -> None:
        """Call `act` whenever this file can be read: the word of the parent."""
        self._watched, self._act = fd, act
        self._poll.register(fd, IN)

    def turn(self) -> None:
        """Wait for what comes next and deal with it."""
        for fd, what in self._poll.poll(self._wait_s()):
            if fd == self._watched:
                self._act()
            elif fd in self._roads:
                self._accept(*self._roads[fd])
            elif fd in self._flows:
                self._event(*self._flows[fd], what)
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            self._pump(heapq.heappop(self._due)[2])

    def close(self) -> None:
        for link in self.links.values():
            for pair in list(link.pairs):
                self._end(pair)
        for listener, _ in self._roads.values():
            listener.close()
        self._poll.close()

    def _wait_s(self) -> float:
        return max(0.0, self._due[0][0] - time.monotonic()) if self._due else -1

    # --- rules -------------------------------------------------------------------------------------------------------

    def rule(self, name: str, way: str, rule: Rule) -> None:
        """Give one way of a link another rule; connections that are open feel it at once."""
        link = self.links[name]
        rule = PASS if rule == PASS else rule  # so that the usual case is told by identity
        before, link.rules[way] = link.rules[way], rule
        link.lanes[way] = Lane()
        for pair in list(link.pairs):
            if rule.mode == "cut":
                link.seen[way].resets += 1
                self._end(pair, reset=True)
            elif before.mode == "blackhole" and rule.mode != "blackhole" and pair.tainted:
                self._end(pair, reset=True)
            elif before is not rule:
                self._release(pair.flows[way])

    def forget(self, name: str) -> None:
        """Begin to count anew."""
        self.links[name].seen = {way: Seen() for way in WAYS}

    def _release(self, flow: Flow) -> None:
        """What was held by another rule goes on now."""
        now = time.monotonic()
        flow.queue = deque((now, arrived, data) for _, arrived, data in flow.queue)
        flow.pace = Pace(self._random, flow.pair.link.lanes[flow.way])
        self._pump(flow)

    # --- connections -------------------------------------------------------------------------------------------------

    def _listen(self, road: Road) -> None:
        listener = socket.create_server(road.listen, backlog=256)
        listener.setblocking(False)
        self._roads[listener.fileno()] = (listener, road)
        self._poll.register(listener.fileno(), IN)

    def _accept(self, listener: socket.socket, road: Road) -> None:
        with contextlib.suppress(OSError):
            near, _ = listener.accept()
            link = self.links[road.link]
            if any(rule.mode == "cut" for rule in link.rules.values()):
                link.seen["up"].turned_away += 1
                _reset(near)
                return
            self._open(link, near, road.target)

    def _open(self, link: Link, near: socket.socket, target: tuple[str, int]) -> None:
        far = socket.socket(socket.AF_INET6 if ":" in target[0] else socket.AF_INET)
        pair = Pair(link, near, far)
        for sock in (near, far):
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for way, source, sink in (("up", near, far), ("down", far, near)):
            pair.flows[way] = Flow(pair, way, source, sink, Pace(self._random, link.lanes[way]))
            self._flows[source.fileno()] = (pair, way)
        link.pairs.add(pair)
        self._poll.register(near.fileno(), IN)
        self._poll.register(far.fileno(), IN | OUT)
        try:
            far.connect(target)
        except BlockingIOError:
            return
        except OSError:
            self._end(pair, reset=True)

    def _event(self, pair: Pair, way: str, what: int) -> None:
        """Something at the socket that `way` reads from, which is the one the other way writes to."""
        writes = pair.flows["down" if way == "up" else "up"]
        if what & OUT:
            if not pair.connected and way == "down":
                if pair.far.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    self._end(pair, reset=True)
                    return
                pair.connected = True
            writes.blocked = False
            self._listen_for(writes.sink)
            self._pump(writes)
        if what & ~OUT and pair in pair.link.pairs:
            self._read(pair, pair.flows[way])

    def _end(self, pair: Pair, *, reset: bool = False) -> None:
        pair.link.pairs.discard(pair)
        for sock in (pair.near, pair.far):
            if self._flows.pop(sock.fileno(), None) is not None:
                self._poll.unregister(sock.fileno())
            _reset(sock) if reset else sock.close()

    # --- bytes -------------------------------------------------------------------------------------------------------

    def _read(self, pair: Pair, flow: Flow) -> None:
        try:
            data = flow.source.recv(RECV_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._end(pair, reset=True)
            return
        if not data:
            flow.ended = True
            pair.tainted |= pair.link.rules[flow.way].mode == "blackhole"
            self._listen_for(flow.source)
            self._pump(flow)
            return
        self._take(pair, flow, data)

    def _take(self, pair: Pair, flow: Flow, data: bytes) -> None:
        rule, seen, now = pair.link.rules[flow.way], pair.link.seen[flow.way], time.monotonic()
        seen.offered += len(data)
        if rule.drop and self._random.random() < rule.drop:
            seen.resets += 1
            self._end(pair, reset=True)
        elif rule.mode == "blackhole":
            seen.swallowed += len(data)
            pair.tainted = True
        elif rule.mode == "stall":
            self._hold(flow, None, now, data)
        elif rule is PASS and not flow.queue and pair.connected:
            self._send(flow, data, now, now)
        else:
            for due, piece in flow.pace.plan(rule, data, now):
                self._hold(flow, due, now, piece)
            self._pump(flow)

    def _hold(self, flow: Flow, due: float | None, arrived: float, data: bytes) -> None:
        flow.queue.append((due, arrived, data))
        flow.held += len(data)
        if flow.held > HELD_BYTES_MAX:
            self._listen_for(flow.source)

    def _pump(self, flow: Flow) -> None:
        """Hand on what is due; come again when the next is."""
        if flow.pair not in flow.pair.link.pairs or not flow.pair.connected:
            return
        now = time.monotonic()
        full = flow.held > HELD_BYTES_MAX
        while flow.queue and not flow.blocked:
            due, arrived, data = flow.queue[0]
            if due is None:
                break
            if due > now:
                self._ticket += 1
                heapq.heappush(self._due, (due, self._ticket, flow))
                break
            flow.queue.popleft()
            flow.held -= len(data)
            if not self._send(flow, data, arrived, now):
                return
        if full and flow.held <= HELD_BYTES_MAX:
            self._listen_for(flow.source)
        silent = flow.pair.link.rules[flow.way].mode == "blackhole"
        if flow.ended and not flow.queue and not flow.shut and not silent:
            self._shut(flow)

    def _send(self, flow: Flow, data: bytes, arrived: float, now: float) -> bool:
        """Send; what the sink does not take now stays first in the queue. False when the connection is over."""
        try:
            sent = flow.sink.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._end(flow.pair, reset=True)
            return False
        if sent:
            flow.pair.link.seen[flow.way].hand_on(sent, now - arrived, now)
        if sent < len(data):
            flow.queue.appendleft((now, arrived, data[sent:]))
            flow.held += len(data) - sent
            flow.blocked = True
            self._listen_for(flow.sink)
        return True

    def _shut(self, flow: Flow) -> None:
        flow.shut = True
        with contextlib.suppress(OSError):
            flow.sink.shutdown(socket.SHUT_WR)
        if all(other.shut for other in flow.pair.flows.values()):
            self._end(flow.pair)

    def _listen_for(self, sock: socket.socket) -> None:
        """Set what is waited for at a socket: reading unless its flow has ended or holds too much, writing where blocked."""
        pair, way = self._flows[sock.fileno()]
        reads, writes = pair.flows[way], pair.flows["down" if way == "up" else "up"]
        wanted = (IN if not reads.ended and reads.held <= HELD_BYTES_MAX else 0) | (
            OUT if writes.blocked else 0
        )
        self._poll.modify(sock.fileno(), wanted)


def _reset(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    sock.close()
