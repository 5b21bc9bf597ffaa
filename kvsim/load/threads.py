"""The same load for programs whose protocol cannot be waited on: a thread a client, each with kvsim's ordinary client.

Slower than `loop`, for `speak: command`, a connection a request, and the user's own clients. Same plan, same records.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from kvsim.client.connect import connect
from kvsim.client.exchange import Client, Request
from kvsim.client.status import ask_status
from kvsim.history.addresses import Address, node_at
from kvsim.history.history import RoleSample
from kvsim.history.operations import REFUSED, UNKNOWN
from kvsim.history.outcome import Reason
from kvsim.load.choosing import Chooser, LastSeen
from kvsim.load.plan import WRITING, LoadPlan
from kvsim.load.recorder import Recorder
from kvsim.load.speaking import row_of, said_of, seen_of

RETRY_S = 0.02
LOOK_EVERY_S = 0.02


class Threads:
    """Run until `stop` says so, then until every client has its last answer."""

    def __init__(self, plan: LoadPlan, stop: Callable[[], bool]) -> None:
        self.plan, self.stop = plan, stop
        self.names = tuple(node.name for node in plan.nodes)
        self.recorder = Recorder(self.names, plan.keys, plan.process)
        self.samples: list[RoleSample] = []
        self._addresses = {node.name: Address(node.id, node.ports) for node in plan.nodes}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._values = 0
        self._left = plan.stop_after if plan.stop_after is not None else -1

    def run(self) -> None:
        """Drive the load. Raises nothing for what nodes do."""
        threads = [threading.Thread(target=self._work, args=(n,)) for n in range(self.plan.clients)]
        threads.append(threading.Thread(target=self._sample))
        for thread in threads:
            thread.start()
        while not self._over.wait(LOOK_EVERY_S):
            if self.stop() or self._left == 0:
                self._over.set()
        for thread in threads:
            thread.join()

    def _work(self, number: int) -> None:
        plan = self.plan
        chooser = Chooser(plan.mix, len(plan.keys), plan.skew, f"{plan.seed}:{number}")
        draw = random.Random(f"{plan.seed}:who:{number}")
        last = LastSeen()
        clients = [_client(plan, node) for node in range(len(plan.nodes))]
        with self._lock:
            process = self.recorder.new_process()
        at = self.names.index(plan.writes_at[number % len(plan.writes_at)])
        reads = self.names.index(plan.reads_at[number % len(plan.reads_at)])
        due = time.monotonic() + (number / plan.rate if plan.rate else 0.0)
        while not self._over.wait(max(0.0, due - time.monotonic())):
            verb, key, expected = last.meant(*chooser.next())
            node = reads if verb == "get" else at
            outcome, leader = self._once(clients[node], process, node, (verb, key, expected), last)
            if outcome == UNKNOWN:
                with self._lock:
                    process = self.recorder.new_process()
            if outcome != 0:
                due = max(due, time.monotonic() + RETRY_S)
                at, reads = self._elsewhere(node, at, reads, leader, draw)
            due = due + plan.clients / plan.rate if plan.rate else due
        for client in clients:
            client.close()

    def _once(
        self, client: Client, process: int, node: int, meant: tuple[str, int, str | None], last: LastSeen
    ) -> tuple[int, str | None]:
        (verb, key, expected), plan = meant, self.plan
        with self._lock:
            if self._left == 0:
                return REFUSED, None
            self._left -= 1
            value = plan.value(self._values) if verb in WRITING else None
            self._values += verb in WRITING
        fields = {"key": plan.keys[key], "value": value, "expected": expected}
        request = Request(verb, {name: text for name, text in fields.items() if text is not None})
        answer = client.ask(request, plan.timeout_s)
        said, exchange = said_of(verb, answer.outcome), answer.exchange
        if answer.outcome.reason is Reason.UNREACHABLE:
            return REFUSED, None  # nobody was there to be asked: no operation
        if said.outcome != REFUSED:
            seen = seen_of(said, value)
            last.note(key, seen if seen is not None and plan.is_ours(seen) else None)
        kind, shown = row_of(said, value, expected)
        times = exchange.invoked_ns, exchange.completed_ns
        with self._lock:
            self.recorder.add(*times, process, node, key, kind, shown, said.outcome, expected)
        return said.outcome, said.leader

    def _elsewhere(
        self, node: int, at: int, reads: int, leader: str | None, draw: random.Random
    ) -> tuple[int, int]:
        if not self.plan.follow:
            return at, reads
        named = node_at(leader, self._addresses)
        others = [other for other in range(len(self.names)) if other != node] or [node]
        chosen = self.names.index(named) if named else draw.choice(others)
        return chosen, chosen if reads == at else reads

    def _sample(self) -> None:
        asked = [
            (node, _client(self.plan, n)) for n, node in enumerate(self.plan.nodes) if node.program.status
        ]
        while asked and not self._over.wait(self.plan.sample_every_s):
            for node, client in asked:
                asked_ns = time.monotonic_ns()
                status = ask_status(client, node.program, self.plan.timeout_s)
                if status is not None and status.role is not None:
                    epoch = status.fields.get("epoch")
                    number = int(epoch) if epoch and epoch.isdecimal() else None
                    sample = RoleSample(
                        time.monotonic_ns(), node.name, str(status.role), number, asked_ns=asked_ns
                    )
                    self.samples.append(sample)
        for _, client in asked:
            client.close()


def _client(plan: LoadPlan, number: int) -> Client:
    node = plan.nodes[number]
    return connect(node.program, node.host, node.port, names=node.names)
