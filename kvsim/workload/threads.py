"""The same load with a thread per client, for protocols that the event loop cannot wait on.

Slower than `event_loop`: for `speak: command`, for a connection per request and for clients of the
user. Same plan, same records.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from kvsim.client.connect import connect
from kvsim.client.exchange import Client, Request
from kvsim.client.outcomes import without_a_node
from kvsim.client.status import ask_status
from kvsim.history.growing_file import GrowingFile
from kvsim.history.history import RoleSample
from kvsim.history.node_lookup import NodeIdentifiers, node_at
from kvsim.history.operations import OK, REFUSED, UNKNOWN
from kvsim.history.outcome import Reason
from kvsim.process.presence import PresenceReader, was_down
from kvsim.workload.generator import LastObserved, OperationGenerator
from kvsim.workload.plan import VALUE_VERBS, LoadPlan, NodePlan
from kvsim.workload.recorder import Recorder, UnderWay
from kvsim.workload.request_cache import KIND_OF, kind_and_value, observed_value, parsed_reply
from kvsim.workload.role_sampler import role_sample

# The pause after an operation that is not ok.
RETRY_S = 0.02
# How often to check for the end of the load.
CHECK_EVERY_S = 0.02


class ClientThreads:
    """Runs until `stop` returns true, then until each client has its last response."""

    def __init__(
        self, plan: LoadPlan, stop: Callable[[], bool], file: GrowingFile | None = None
    ) -> None:
        self.plan, self.stop = plan, stop
        self.names = tuple(node.name for node in plan.nodes)
        self.recorder = Recorder(self.names, plan.keys, plan.process, file)
        # The operation of each client that is under way.
        self._under_way: dict[int, UnderWay] = {}
        self.samples: list[RoleSample] = []
        self._identifiers = {
            node.name: NodeIdentifiers(node.id, node.ports, node.hosts) for node in plan.nodes
        }
        # The nodes of a plan are those of its launcher, in the same order.
        self._presence = PresenceReader(plan.presence)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._value_count = 0
        # The number of operations to go; negative: no limit.
        self._remaining = plan.stop_after if plan.stop_after is not None else -1

    def run(self) -> None:
        """Drive the load. What nodes do never raises."""
        threads = [
            threading.Thread(target=self._run_client, args=(number,))
            for number in range(self.plan.clients)
        ]
        threads.append(threading.Thread(target=self._sample_roles))
        for thread in threads:
            thread.start()
        while not self._stopped.wait(CHECK_EVERY_S):
            if self.stop() or self._remaining == 0:
                self._stopped.set()
        for thread in threads:
            thread.join()
        self._presence.close()

    def flush(self) -> None:
        """Write what was recorded so far. Raises OSError."""
        with self._lock:
            self.recorder.flush(list(self._under_way.values()))

    def _run_client(self, number: int) -> None:
        plan = self.plan
        generator = OperationGenerator(plan.mix, len(plan.keys), plan.skew, f"{plan.seed}:{number}")
        generator_of_nodes = random.Random(f"{plan.seed}:who:{number}")
        last, made = LastObserved(), 0
        clients = [_connect(node) for node in plan.nodes]
        with self._lock:
            process = self.recorder.new_process()
        writes_at = self.names.index(plan.writes_at[number % len(plan.writes_at)])
        reads_at = self.names.index(plan.reads_at[number % len(plan.reads_at)])
        due = time.monotonic() + (number / plan.rate if plan.rate else 0.0)
        while not self._stopped.wait(max(0.0, due - time.monotonic())):
            operation = last.with_expected(*generator.next())
            made += 1
            node = reads_at if operation[0] == "get" else writes_at
            outcome, leader = self._request(clients[node], process, node, operation, last)
            if plan.reconnect is not None and made % plan.reconnect == 0:
                clients[node].close()
                clients[node] = _connect(plan.nodes[node])
            if outcome == UNKNOWN:
                with self._lock:
                    process = self.recorder.new_process()
            if outcome != OK:
                due = max(due, time.monotonic() + RETRY_S)
                if plan.follow:
                    chosen = self._other_node(node, leader, generator_of_nodes)
                    reads_at = chosen if reads_at == writes_at else reads_at
                    writes_at = chosen
            due = due + plan.clients / plan.rate if plan.rate else due
        for client in clients:
            client.close()

    def _request(
        self,
        client: Client,
        process: int,
        node: int,
        operation: tuple[str, int, str | None],
        last: LastObserved,
    ) -> tuple[int, str | None]:
        """(outcome, leader that the node named) of one operation: verb, key, expected value."""
        (verb, key, expected), plan = operation, self.plan
        with self._lock:
            if self._remaining == 0:
                return REFUSED, None
            self._remaining -= 1
            value = plan.value(self._value_count) if verb in VALUE_VERBS else None
            self._value_count += verb in VALUE_VERBS
            self._under_way[process] = (
                time.monotonic_ns(),
                process,
                node,
                key,
                KIND_OF[verb],
                value,
                expected,
            )
        fields = {"key": plan.keys[key], "value": value, "expected": expected}
        request = Request(verb, {name: text for name, text in fields.items() if text is not None})
        before = self._presence.number(node)
        response = client.ask(request, plan.timeout_s)
        if was_down(before, self._presence.number(node)):
            response = without_a_node(response)
        # Nothing was sent, so there was no operation.
        if response.outcome.reason is Reason.UNREACHABLE:
            with self._lock:
                self._under_way.pop(process, None)
            return REFUSED, None
        reply = parsed_reply(verb, response.outcome)
        if reply.outcome != REFUSED:
            observed = observed_value(reply, value)
            own = observed is not None and plan.is_own(observed)
            last.observe(key, observed if own else None)
        kind, recorded = kind_and_value(reply, value, expected)
        times = response.exchange.invoked_ns, response.exchange.completed_ns
        with self._lock:
            self.recorder.add(*times, process, node, key, kind, recorded, reply.outcome, expected)
            if reply.unrecognised:
                self.recorder.note_unrecognised(node, verb, reply.unrecognised)
            self._under_way.pop(process, None)
        return reply.outcome, reply.leader

    def _other_node(self, node: int, leader: str | None, generator: random.Random) -> int:
        """The node that a refusal names as the leader, else another one at random."""
        named = node_at(leader, self._identifiers)
        if named:
            return self.names.index(named)
        others = [other for other in range(len(self.names)) if other != node]
        return generator.choice(others or [node])

    def _sample_roles(self) -> None:
        clients = [(node, _connect(node)) for node in self.plan.nodes if node.program.status]
        while clients and not self._stopped.wait(self.plan.sample_every_s):
            for node, client in clients:
                asked_ns = time.monotonic_ns()
                status = ask_status(client, node.program, self.plan.timeout_s, node.names)
                if status is not None and status.role is not None:
                    sample = role_sample(node.name, str(status.role), status.fields, asked_ns)
                    self.samples.append(sample)
        for _, client in clients:
            client.close()


def _connect(node: NodePlan) -> Client:
    return connect(node.program, node.host, node.port, names=node.names)
