"""The event loop of a load: many clients, each with one request under way, on one epoll.

Sends and records, with two clock readings per operation. `generator` decides what a client requests
next, `request_cache` what bytes mean. A client whose operation has no known outcome closes its
connection and continues under a new number. It never repeats an operation.
"""

from __future__ import annotations

import heapq
import random
import select
import socket
import time
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic_ns
from typing import NamedTuple

from msgspec import Struct, field

from kvsim.client.stream import StreamClient
from kvsim.history.growing_file import GrowingFile
from kvsim.history.node_lookup import NodeIdentifiers, node_at
from kvsim.history.operations import REFUSED, UNKNOWN
from kvsim.workload.generator import LastObserved, OperationGenerator
from kvsim.workload.opener import ConnectionOpener, open_socket
from kvsim.workload.plan import VALUE_VERBS, LoadPlan
from kvsim.workload.recorder import Recorder
from kvsim.workload.request_cache import (
    KIND_OF,
    ParsedReply,
    RequestCache,
    kind_and_value,
    observed_value,
)
from kvsim.workload.role_sampler import RoleSampler

# A longer reply is received in pieces: a large buffer for each reply costs more.
RECV_BYTES = 4096
# The pause after a refusal and after a failed connection. Without it, a cluster without a leader
# would get a million requests.
RETRY_S = 0.02
# How often the loop checks for time-outs and for the end of the load.
CHECK_EVERY_S = 0.02
EVENTS_MAX = 256
READY = select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR
NO_FD = -1


class ClientConnection(NamedTuple):
    """One connection, with the methods that every operation calls."""

    sock: socket.socket
    fd: int
    send: Callable[[bytes], int]
    recv: Callable[[int], bytes]


class LoadClient(Struct, eq=False):
    """One client of the load.

    `writes_at` and `reads_at` are the numbers of the nodes it sends to; `connections` are by node.
    The fields from `fd` to `received` belong to the operation under way; `fd` is NO_FD when there
    is none. `opening`: it waits for a connection. `patient`: the next one is opened in a thread,
    because the node did not take the last one at once. `made` counts operations where connections
    do not last.
    """

    process: int
    writes_at: int
    reads_at: int
    connections: dict[int, ClientConnection] = field(default_factory=dict)
    fd: int = NO_FD
    recv: Callable[[int], bytes] = field(default=bytes)
    node: int = 0
    verb: str = ""
    key: int = 0
    value: str | None = None
    expected: str | None = None
    call_ns: int = 0
    received: bytes = b""
    due: float = 0.0
    opening: bool = False
    patient: bool = False
    made: int = 0
    last: LastObserved = field(default_factory=LastObserved)


class EventLoop:
    """Runs until `stop` returns true, then until each operation under way is answered or timed out.

    `clients` are those of the plan's nodes; each must have a persistent connection.
    """

    def __init__(
        self,
        plan: LoadPlan,
        clients: Sequence[StreamClient],
        stop: Callable[[], bool],
        file: GrowingFile | None = None,
    ) -> None:
        self.plan, self.stop = plan, stop
        self.names = tuple(node.name for node in plan.nodes)
        self.recorder = Recorder(self.names, plan.keys, plan.process, file)
        self._clients: list[LoadClient] = []
        self._epoll = select.epoll()
        self._opener = ConnectionOpener(plan.timeout_s)
        self._epoll.register(self._opener.fileno(), select.EPOLLIN)
        self._sampler = RoleSampler(plan, clients, self._epoll, self._opener)
        self.samples = self._sampler.samples
        self._node_clients = clients
        self._caches = [RequestCache(client, plan) for client in clients]
        self._identifiers = {
            node.name: NodeIdentifiers(node.id, node.ports, node.hosts) for node in plan.nodes
        }
        self._next_operation = OperationGenerator(
            plan.mix, len(plan.keys), plan.skew, plan.seed
        ).next
        self._has_cas = plan.has_cas
        self._random = random.Random(f"{plan.seed}:who")
        self._by_fd: dict[int, LoadClient] = {}
        self._value_count = 0
        # Idle clients by the time of their next request; the number makes entries comparable.
        self._idle: list[tuple[float, int, LoadClient]] = []
        self._idle_count = 0
        self._timeout_ns = int(plan.timeout_s * 1e9)
        self._reconnect = plan.reconnect
        self._interval_s = plan.clients / plan.rate if plan.rate else 0.0
        # The number of operations to go; negative: no limit.
        self._remaining = plan.stop_after if plan.stop_after is not None else -1
        self._stopping = False

    def run(self) -> None:
        """Drive the load. What nodes do never raises."""
        clients = self._clients = [self._client(number) for number in range(self.plan.clients)]
        idle, poll, by_fd, receive = self._idle, self._epoll.poll, self._by_fd.get, self._receive
        check_due = now = time.monotonic()
        for number, client in enumerate(clients):
            client.due = now + self._interval_s * number / len(clients)
            self._schedule(client, client.due)
        while not self._stopping or any(client.fd != NO_FD for client in clients):
            if idle and idle[0][0] <= now:
                self._send_due(now)
            wait_s = min(max(0.0, idle[0][0] - now), CHECK_EVERY_S) if idle else CHECK_EVERY_S
            for fd, _ in poll(wait_s, EVENTS_MAX):
                ready = by_fd(fd)
                if ready is None:
                    self._receive_other(fd)
                elif ready.fd == fd:
                    receive(ready)
                else:
                    self._drop_unused(ready, fd)
            now = time.monotonic()
            if now >= check_due:
                check_due = now + CHECK_EVERY_S
                self._check(clients, now)
        self._close(clients)

    def flush(self) -> None:
        """Write what was recorded so far. Raises OSError."""
        self.recorder.flush(
            (
                client.call_ns,
                client.process,
                client.node,
                client.key,
                KIND_OF[client.verb],
                client.value,
                client.expected,
            )
            for client in self._clients
            if client.fd != NO_FD
        )

    def _receive_other(self, fd: int) -> None:
        if fd == self._opener.fileno():
            self._opener.deliver()
        else:
            self._sampler.receive(fd)

    def _check(self, clients: list[LoadClient], now: float) -> None:
        self._stopping = self._stopping or self._remaining == 0 or self.stop()
        oldest_ns = monotonic_ns() - self._timeout_ns
        for client in clients:
            if client.fd != NO_FD and client.call_ns < oldest_ns:
                self._fail(client)
        self._sampler.poll(now)

    def _send_due(self, now: float) -> None:
        while self._idle and self._idle[0][0] <= now:
            self._send_next(heapq.heappop(self._idle)[2])

    def _schedule(self, client: LoadClient, due: float) -> None:
        """Let the client send its next request at `due`."""
        self._idle_count += 1
        heapq.heappush(self._idle, (due, self._idle_count, client))

    def _close(self, clients: list[LoadClient]) -> None:
        for client in clients:
            for node in list(client.connections):
                self._disconnect(client, node)
        self._sampler.close()
        self._opener.close()
        self._epoll.close()

    def _client(self, number: int) -> LoadClient:
        writes, reads = self.plan.writes_at, self.plan.reads_at
        return LoadClient(
            self.recorder.new_process(),
            self.names.index(writes[number % len(writes)]),
            self.names.index(reads[number % len(reads)]),
        )

    def _send_next(self, client: LoadClient) -> None:
        """Send the client's next request."""
        if self._stopping or self._remaining == 0:
            return
        self._remaining -= 1
        verb, key = self._next_operation()
        if self._has_cas:
            verb, key, client.expected = client.last.with_expected(verb, key)
        node = client.reads_at if verb == "get" else client.writes_at
        connection = client.connections.get(node) or self._connect(client, node, verb)
        if connection is None:
            self._remaining += 1
            if not client.opening:
                self._continue_elsewhere(client, verb, node)
            return
        if verb in VALUE_VERBS:
            client.value = value = self.plan.value(self._value_count)
            self._value_count += 1
            data = self._caches[node].write(key, value, client.expected)
        else:
            client.value = None
            data = self._caches[node].without_value(verb, key)
        client.fd, client.recv = connection.fd, connection.recv
        client.node, client.verb, client.key = node, verb, key
        client.call_ns = monotonic_ns()
        try:
            if connection.send(data) != len(data):
                self._fail(client)
        except OSError:
            self._fail(client)

    def _receive(self, client: LoadClient) -> None:
        try:
            data = client.recv(RECV_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._fail(client)
            return
        if client.received:
            data = client.received + data
        cache = self._caches[client.node]
        reply = cache.memo[client.verb].get(data) or cache.parse(client.verb, data)
        if reply is None:
            client.received = data
            return
        self._complete(client, reply, monotonic_ns())

    def _complete(self, client: LoadClient, reply: ParsedReply, now_ns: int) -> None:
        outcome = reply.outcome
        if self._has_cas:
            kind, value = kind_and_value(reply, client.value, client.expected)
        else:
            kind, value = reply.kind, client.value if reply.value is None else reply.value
        self.recorder.add(
            client.call_ns,
            now_ns,
            client.process,
            client.node,
            client.key,
            kind,
            value,
            outcome,
            client.expected,
        )
        client.fd, client.received = NO_FD, b""
        if self._has_cas and outcome != REFUSED:
            self._observe(client, reply)
        if reply.last or self._has_worn_out(client):
            self._disconnect(client, client.node)
        if outcome == UNKNOWN:
            if reply.unrecognised:
                self.recorder.note_unrecognised(client.node, client.verb, reply.unrecognised)
            self._disconnect(client, client.node)
            client.process = self.recorder.new_process()
        if outcome == REFUSED:
            self._handle_refusal(client, reply)
        elif self._interval_s:
            client.due += self._interval_s
            self._schedule(client, client.due)
        else:
            self._send_next(client)

    def _has_worn_out(self, client: LoadClient) -> bool:
        """Whether the client has made the last operation of its connection."""
        if self._reconnect is None:
            return False
        client.made += 1
        return client.made % self._reconnect == 0

    def _observe(self, client: LoadClient, reply: ParsedReply) -> None:
        """Note the value that the key holds by this reply, if it is a value of this load."""
        value = observed_value(reply, client.value)
        own = value is not None and self.plan.is_own(value)
        client.last.observe(client.key, value if own else None)

    def _fail(self, client: LoadClient) -> None:
        """The outcome is unknown. The connection is closed, because a reply may still arrive."""
        self.recorder.add(
            client.call_ns,
            0,
            client.process,
            client.node,
            client.key,
            KIND_OF[client.verb],
            client.value,
            UNKNOWN,
            client.expected,
        )
        self._disconnect(client, client.node)
        client.fd, client.received = NO_FD, b""
        client.last.observe(client.key, None)
        client.process = self.recorder.new_process()
        self._choose_other_node(client, client.verb, client.node)
        self._schedule(client, time.monotonic() + RETRY_S)

    def _drop_unused(self, client: LoadClient, fd: int) -> None:
        """Close a connection that got bytes or ended while no request was under way on it."""
        for node, connection in list(client.connections.items()):
            if connection.fd == fd:
                self._disconnect(client, node)

    def _handle_refusal(self, client: LoadClient, reply: ParsedReply) -> None:
        """With `follow`, go to the node that the refusal names. Wait a moment if it names none."""
        named = node_at(reply.leader, self._identifiers)
        if self.plan.follow and named is not None:
            client.writes_at = self.names.index(named)
            if client.verb == "get":
                client.reads_at = client.writes_at
        else:
            self._choose_other_node(client, client.verb, client.node)
        earliest = time.monotonic() + (0.0 if named else RETRY_S)
        client.due = max(client.due + self._interval_s, earliest)
        self._schedule(client, client.due)

    def _choose_other_node(self, client: LoadClient, verb: str, node: int) -> None:
        """With `follow`, go to another node, at random."""
        if not self.plan.follow:
            return
        others = [other for other in range(len(self.names)) if other != node]
        chosen = self._random.choice(others) if others else node
        if verb == "get" and client.reads_at != client.writes_at:
            client.reads_at = chosen
        else:
            client.writes_at = client.reads_at = chosen

    def _continue_elsewhere(self, client: LoadClient, verb: str, node: int) -> None:
        self._choose_other_node(client, verb, node)
        self._schedule(client, time.monotonic() + RETRY_S)

    def _connect(self, client: LoadClient, node: int, verb: str) -> ClientConnection | None:
        """A connection that the node takes at once.

        None when it does not, or while one is opened; then the client continues later.
        """
        if client.patient or not self._node_clients[node].opens_at_once:
            client.opening, client.patient = True, False
            self._opener.open(self._node_clients[node], partial(self._opened, client, verb, node))
            return None
        sock = open_socket(self._node_clients[node], 0.0)
        client.patient = sock is None
        return None if sock is None else self._add_connection(client, node, sock)

    def _opened(self, client: LoadClient, verb: str, node: int, sock: socket.socket | None) -> None:
        """Continue a client that waited for a connection."""
        client.opening = False
        if sock is None:
            self._continue_elsewhere(client, verb, node)
        else:
            self._add_connection(client, node, sock)
            self._schedule(client, time.monotonic())

    def _add_connection(
        self, client: LoadClient, node: int, sock: socket.socket
    ) -> ClientConnection:
        connection = ClientConnection(sock, sock.fileno(), sock.send, sock.recv)
        client.connections[node] = connection
        self._by_fd[connection.fd] = client
        self._epoll.register(connection.fd, READY)
        return connection

    def _disconnect(self, client: LoadClient, node: int) -> None:
        connection = client.connections.pop(node, None)
        if connection is not None:
            self._by_fd.pop(connection.fd, None)
            self._epoll.unregister(connection.fd)
            connection.sock.close()
