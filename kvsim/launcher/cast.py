"""The nodes of one cluster, where they are, and what is told of them: what starting, stopping and looking share.

Holds; starts and stops nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from kvsim.config.cluster import Cluster
from kvsim.config.names import STRAIGHT, Place, Views, names_for
from kvsim.launcher.node import Node, Note
from kvsim.limits import PLAIN, Limits, spent
from kvsim.logs.guard import Growth, LogGuard
from kvsim.process.tree import members
from kvsim.waiting import Deadline

LOG_LIMIT_BYTES = 64 << 20
SIGKILL = 9
LAST_WORDS_S = 1.0  # for a pseudo-terminal to be emptied after its program's end
TAIL_LINES = 12


@dataclass
class Cast:
    """All nodes by name, in the order of the cluster file. `note` writes the journal. Close it, or its watch goes on."""

    cluster: Cluster
    nodes: dict[str, Node]
    note: Note
    views: Views = STRAIGHT
    limits: Limits = PLAIN  # for those that no file holds
    guard: LogGuard = field(init=False)

    def __post_init__(self) -> None:
        self.guard = LogGuard(LOG_LIMIT_BYTES, self._flooded, on_growth=self._note_growth).start()

    @property
    def places(self) -> dict[str, Place]:
        return {name: node.place for name, node in self.nodes.items()}

    def names(self, name: str) -> dict[str, Any]:
        """The template names of one node."""
        seen = [self.views.of(name, place) for place in self.places.values()]
        return names_for(self.cluster, self.nodes[name].place, seen)

    def reap(self) -> list[Node]:
        """Note the end of every node that has ended since the last look; return those whose end nobody asked for."""
        ended = [node for node in self.nodes.values() if not node.end_noted and node.process and not node.up]
        for node in ended:
            self._note_end(node)
        return [node for node in ended if not node.end_wanted]

    def watch(self, node: Node) -> None:
        """Have the guard look at all logs of a node: its own, and the extra ones that are there by now."""
        for log in (node.log, *node.extra_logs()):
            self.guard.add(node.name, log.path)

    def note_limit(self, what: str, node: Node, deadline: Deadline) -> None:
        """Note how much of its time something has taken."""
        self.note("limit", **spent(what, node.name, deadline.used_s(), deadline.budget_s))

    def note_signal(self, node: Node, signal: str, why: str, **more: Any) -> None:
        self.note("signal", node=node.name, incarnation=node.incarnation, signal=signal, why=why, **more)

    def _note_end(self, node: Node) -> None:
        node.end_noted = True
        node.drain(Deadline.after(LAST_WORDS_S))
        for log in (node.log, *node.extra_logs()):
            self.guard.remove(log.path)
        node.keep_extra_logs()
        tail = [] if node.end_wanted else node.log.last(TAIL_LINES)
        fields = {**node.process.poll().to_json(), "wanted": node.end_wanted, "flooded": node.flooded}
        if node.end_tolerated and not node.end_wanted:
            fields["tolerated"] = node.end_tolerated
        self.note("exit", node=node.name, incarnation=node.incarnation, **fields, tail=tail)

    def _note_growth(self, growth: Growth) -> None:
        node = self.nodes[growth.name]
        if growth.path == node.log_path and growth.size:
            self.note("log", node=node.name, incarnation=node.incarnation, size=growth.size)

    def _flooded(self, growth: Growth) -> None:
        node = self.nodes[growth.name]
        node.flooded = True
        for one in members(node.process.identity, node.mark):
            one.signal(SIGKILL)
