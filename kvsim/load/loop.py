"""The load's loop: many clients, each with one request under way, one epoll, two clock readings an operation.

Sends and records; what is asked next is `choosing`'s, what bytes mean `speaking`'s. A client whose operation has no known
outcome closes its connection and goes on under a new number. Nothing is ever tried again under the old one.
"""

from __future__ import annotations

import heapq
import random
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import NamedTuple

from kvsim.client.connect import connect
from kvsim.client.stream import StreamClient
from kvsim.client.wire import Broken
from kvsim.history.addresses import Address, node_at
from kvsim.history.operations import REFUSED, UNKNOWN
from kvsim.load.choosing import Chooser, LastSeen
from kvsim.load.plan import WRITING, LoadPlan
from kvsim.load.recorder import Recorder
from kvsim.load.sampling import Sampler
from kvsim.load.speaking import KIND_OF, Said, Speaker, row_of, seen_of

RECV_BYTES = 4096  # more is read in pieces; asking for much costs a large buffer a reply
CONNECT_TIMEOUT_S = 0.1
RETRY_S = (
    0.02  # after a refusal or a dead node, so that a cluster without a leader is not asked a million times
)
LOOK_EVERY_S = 0.02  # at time-outs and at what the runner says
READY = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR
NOBODY = -1


class Line(NamedTuple):
    """One connection, with what is wanted of it for every operation at hand."""

    sock: socket.socket
    fd: int
    send: Callable[[bytes], int]
    recv: Callable[[int], bytes]


@dataclass(eq=False, slots=True)
class Worker:
    """One client: where it goes, and the operation it has under way on the connection `fd` (NOBODY: it has none under way)."""

    process: int
    writes_at: int
    reads_at: int
    lines: dict[int, Line] = field(default_factory=dict)
    fd: int = NOBODY
    recv: Callable[[int], bytes] = field(default=bytes)
    node: int = 0
    verb: str = ""
    key: int = 0
    value: str | None = None
    expected: str | None = None
    call_ns: int = 0
    got: bytes = b""
    due: float = 0.0
    last: LastSeen = field(default_factory=LastSeen)


class Loop:
    """Run until `stop` says so, then until everything under way is answered or timed out."""

    def __init__(self, plan: LoadPlan, stop: Callable[[], bool]) -> None:
        self.plan, self.stop = plan, stop
        self.names = tuple(node.name for node in plan.nodes)
        self.recorder = Recorder(self.names, plan.keys, plan.process)
        self.sampler = Sampler(plan)
        self._clients = [_client(plan, number) for number in range(len(plan.nodes))]
        self._speakers = [Speaker(one, plan) for one in self._clients]
        self._addresses = {node.name: Address(node.id, node.ports) for node in plan.nodes}
        self._draw = Chooser(plan.mix, len(plan.keys), plan.skew, plan.seed).next
        self._compares = plan.compares
        self._random = random.Random(f"{plan.seed}:who")
        self._poll = select.epoll()
        self._by_fd: dict[int, Worker] = {}
        self._values = 0
        self._idle: list[tuple[float, int, Worker]] = []
        self._ticket = 0
        self._timeout_ns = int(plan.timeout_s * 1e9)
        self._pace_s = plan.clients / plan.rate if plan.rate else 0.0
        self._left = plan.stop_after if plan.stop_after is not None else -1
        self._stopping = False

    # --- the loop ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Drive the load. Raises nothing for what nodes do."""
        workers = [self._worker(number) for number in range(self.plan.clients)]
        idle, poll, by_fd, receive = self._idle, self._poll.poll, self._by_fd.get, self._receive
        look = now = time.monotonic()
        for number, worker in enumerate(workers):
            worker.due = now + self._pace_s * number / len(workers)
            self._rest(worker, worker.due)
        while not self._stopping or any(worker.fd != NOBODY for worker in workers):
            if idle and idle[0][0] <= now:
                self._wake(now)
            wait_s = min(max(0.0, idle[0][0] - now), LOOK_EVERY_S) if idle else LOOK_EVERY_S
            for fd, _ in poll(wait_s, 256):
                worker = by_fd(fd)
                if worker is None:
                    self.sampler.receive(fd)
                elif worker.fd == fd:
                    receive(worker)
                else:
                    self._quiet(worker, fd)
            now = time.monotonic()
            if now >= look:
                look = now + LOOK_EVERY_S
                self._look(workers, now)
        self._close(workers)

    def _look(self, workers: list[Worker], now: float) -> None:
        self._stopping = self._stopping or self._left == 0 or self.stop()
        late = monotonic_ns() - self._timeout_ns
        for worker in workers:
            if worker.fd != NOBODY and worker.call_ns < late:
                self._lost(worker)
        self.sampler.look(now, self._poll)

    def _wake(self, now: float) -> None:
        while self._idle and self._idle[0][0] <= now:
            self._next(heapq.heappop(self._idle)[2])

    def _rest(self, worker: Worker, until: float) -> None:
        self._ticket += 1
        heapq.heappush(self._idle, (until, self._ticket, worker))

    def _close(self, workers: list[Worker]) -> None:
        for worker in workers:
            for node in list(worker.lines):
                self._hang_up(worker, node)
        self.sampler.close()
        self._poll.close()

    # --- one client --------------------------------------------------------------------------------------------------

    def _worker(self, number: int) -> Worker:
        writes, reads = self.plan.writes_at, self.plan.reads_at
        return Worker(
            self.recorder.new_process(),
            self.names.index(writes[number % len(writes)]),
            self.names.index(reads[number % len(reads)]),
        )

    def _next(self, worker: Worker) -> None:
        """Send the client's next request."""
        if self._stopping or self._left == 0:
            return
        self._left -= 1
        verb, key = self._draw()
        if self._compares:
            verb, key, worker.expected = worker.last.meant(verb, key)
        node = worker.reads_at if verb == "get" else worker.writes_at
        line = worker.lines.get(node) or self._connect(worker, node)
        if line is None:
            self._left += 1
            self._elsewhere(worker, verb, node)
            self._rest(worker, time.monotonic() + RETRY_S)
            return
        if verb in WRITING:
            worker.value = value = self.plan.value(self._values)
            self._values += 1
            data = self._speakers[node].write(key, value, worker.expected)
        else:
            worker.value = None
            data = self._speakers[node].other(verb, key)
        worker.fd, worker.recv, worker.node, worker.verb, worker.key = line.fd, line.recv, node, verb, key
        worker.call_ns = monotonic_ns()
        try:
            if line.send(data) != len(data):
                self._lost(worker)
        except OSError:
            self._lost(worker)

    def _receive(self, worker: Worker) -> None:
        try:
            data = worker.recv(RECV_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._lost(worker)
            return
        if worker.got:
            data = worker.got + data
        speaker = self._speakers[worker.node]
        said = speaker.memo[worker.verb].get(data) or speaker.read(worker.verb, data)
        if said is None:
            worker.got = data
            return
        self._answered(worker, said, monotonic_ns())

    def _answered(self, worker: Worker, said: Said, now_ns: int) -> None:
        outcome = said.outcome
        if self._compares:
            kind, value = row_of(said, worker.value, worker.expected)
        else:
            kind, value = said.kind, worker.value if said.value is None else said.value
        self.recorder.add(
            worker.call_ns,
            now_ns,
            worker.process,
            worker.node,
            worker.key,
            kind,
            value,
            outcome,
            worker.expected,
        )
        worker.fd, worker.got = NOBODY, b""
        if self._compares and outcome != REFUSED:
            self._seen(worker, said)
        if outcome == UNKNOWN:
            self._hang_up(worker, worker.node)
            worker.process = self.recorder.new_process()
        if outcome == REFUSED:
            self._turned_away(worker, said)
        elif self._pace_s:
            worker.due += self._pace_s
            self._rest(worker, worker.due)
        else:
            self._next(worker)

    def _seen(self, worker: Worker, said: Said) -> None:
        """What the key holds by this answer; a value that is none of ours is not asked for."""
        value = seen_of(said, worker.value)
        worker.last.note(worker.key, value if value is not None and self.plan.is_ours(value) else None)

    def _lost(self, worker: Worker) -> None:
        """No answer will be known: the operation is unknown, and so is everything still on that connection."""
        self.recorder.add(
            worker.call_ns,
            0,
            worker.process,
            worker.node,
            worker.key,
            KIND_OF[worker.verb],
            worker.value,
            UNKNOWN,
            worker.expected,
        )
        self._hang_up(worker, worker.node)
        worker.fd, worker.got = NOBODY, b""
        worker.last.note(worker.key, None)
        worker.process = self.recorder.new_process()
        self._elsewhere(worker, worker.verb, worker.node)
        self._rest(worker, time.monotonic() + RETRY_S)

    def _quiet(self, worker: Worker, fd: int) -> None:
        """Something came, or the connection ended, while nothing was asked on it: it is thrown away."""
        for node, line in list(worker.lines.items()):
            if line.fd == fd:
                self._hang_up(worker, node)

    def _turned_away(self, worker: Worker, said: Said) -> None:
        """A refusal: go where it points, when the load follows. Either way a moment passes."""
        named = node_at(said.leader, self._addresses)
        if self.plan.follow and named is not None:
            worker.writes_at = self.names.index(named)
            if worker.verb == "get":
                worker.reads_at = worker.writes_at
        else:
            self._elsewhere(worker, worker.verb, worker.node)
        worker.due = max(worker.due + self._pace_s, time.monotonic() + (0.0 if named else RETRY_S))
        self._rest(worker, worker.due)

    def _elsewhere(self, worker: Worker, verb: str, node: int) -> None:
        """With `follow`, try the next node."""
        if not self.plan.follow:
            return
        others = [other for other in range(len(self.names)) if other != node]
        chosen = self._random.choice(others) if others else node
        if verb == "get" and worker.reads_at != worker.writes_at:
            worker.reads_at = chosen
        else:
            worker.writes_at = worker.reads_at = chosen

    # --- connections -------------------------------------------------------------------------------------------------

    def _connect(self, worker: Worker, node: int) -> Line | None:
        try:
            sock = self._clients[node].hand_over(time.monotonic() + CONNECT_TIMEOUT_S)
        except Broken:
            return None
        line = worker.lines[node] = Line(sock, sock.fileno(), sock.send, sock.recv)
        self._by_fd[line.fd] = worker
        self._poll.register(line.fd, READY)
        return line

    def _hang_up(self, worker: Worker, node: int) -> None:
        line = worker.lines.pop(node, None)
        if line is not None:
            self._by_fd.pop(line.fd, None)
            self._poll.unregister(line.fd)
            line.sock.close()


def _client(plan: LoadPlan, number: int) -> StreamClient:
    node = plan.nodes[number]
    return connect(node.program, node.host, node.port, names=node.names)  # type: ignore[return-value]
