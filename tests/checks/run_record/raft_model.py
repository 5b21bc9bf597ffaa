"""A model of Raft that makes records of runs: correct, or with one bug. No process, no clock.

Messages are whole rounds: a candidate asks some nodes for votes, a leader sends some nodes its log.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from tests.checks.run_record.run_builder import RunBuilder

NODES = ("n1", "n2", "n3")
LOGS = {
    "term": [r"^term (?P<term>\d+): was"],
    "vote": [r"^vote in term (?P<term>\d+): for (?P<candidate>\S+)"],
    "candidate": [r"^now CANDIDATE for term (?P<term>\d+)"],
    "leader": [r"^now LEADER of term (?P<term>\d+)"],
}
MAJORITY = 2


@dataclass
class Node:
    """`log`: (term, number of the write) of each entry; `lines`: what it has logged."""

    name: str
    incarnation: int = 1
    role: str = "follower"
    term: int = 0
    vote: str = ""
    log: list[tuple[int, int]] = field(default_factory=list)
    commit: int = 0
    lines: list[str] = field(default_factory=list)
    before: dict[str, str] = field(default_factory=dict)

    def enter(self, term: int) -> None:
        if term > self.term:
            self.lines.append(f"term {term}: was {self.term}")
            self.term, self.vote, self.role = term, "", "follower"

    def position(self) -> tuple[int, int]:
        return (self.log[-1][0] if self.log else 0, len(self.log))


class RaftModel:
    """`atomic`: a STATUS is of one moment. `bug`: empty, or what is wrong with every node."""

    def __init__(self, rng: random.Random, *, atomic: bool = True, bug: str = "") -> None:
        self.rng, self.atomic, self.bug = rng, atomic, bug
        on_disk = ["term", "vote", "commit"] if bug == "forgets_commit" else ["term", "vote"]
        self.builder = RunBuilder(
            capabilities=["elects", *["atomic_status"] * atomic],
            elections={
                "timeout_s": 0.5,
                "serves_within_s": None,
                "logs": LOGS,
                "on_disk": on_disk,
            },
        ).up()
        self.nodes = {name: Node(name) for name in NODES}
        self.writes = 0

    def run(self, steps: int) -> RunBuilder:
        actions = (self.elect, self.elect, self.write, self.write, self.replicate, self.replicate)
        for _ in range(steps):
            self.rng.choice((*actions, self.restart, self.report, self.report))()
        for node in self.nodes.values():
            self.keep_log(node)
        return self.builder

    def some(self, node: Node) -> list[Node]:
        """The node, and those of the others that its messages reach."""
        return [other for other in self.nodes.values() if other is node or self.rng.random() < 0.6]

    def elect(self) -> None:
        node = self.rng.choice([*self.nodes.values()])
        node.enter(node.term + 1)
        node.role = "candidate"
        node.lines.append(f"now CANDIDATE for term {node.term}")
        votes = sum(self.votes(other, node) for other in self.some(node))
        if votes >= MAJORITY:
            node.role = "leader"
            node.lines.append(f"now LEADER of term {node.term} at index {len(node.log) + 1}")
            node.log.append((node.term, 0))

    def votes(self, node: Node, candidate: Node) -> bool:
        node.enter(candidate.term)
        behind = candidate.position() < node.position() and self.bug != "ignores_log"
        voted = node.vote not in ("", candidate.name) and self.bug != "votes_twice"
        if candidate.term < node.term or behind or voted:
            return False
        node.vote = candidate.name
        node.lines.append(f"vote in term {node.term}: for {candidate.name}")
        return True

    def write(self) -> None:
        for node in self.leaders():
            self.writes += 1
            node.log.append((node.term, self.writes))

    def leaders(self) -> list[Node]:
        return [node for node in self.nodes.values() if node.role == "leader"]

    def replicate(self) -> None:
        for leader in self.leaders():
            reached = [node for node in self.some(leader) if node.term <= leader.term]
            if leader not in reached:
                continue
            for node in reached:
                self.append(node, leader)
            if len(reached) >= MAJORITY:
                leader.commit = len(leader.log)
                for node in reached:
                    node.commit = max(node.commit, min(leader.commit, len(node.log)))

    def append(self, node: Node, leader: Node) -> None:
        if node is leader:
            return
        node.enter(leader.term)
        node.role = "follower"
        node.log = list(leader.log)
        if self.bug == "mixes_logs" and len(node.log) > 2:
            node.log[0] = (node.log[0][0], -1)

    def restart(self) -> None:
        node = self.rng.choice([*self.nodes.values()])
        self.keep_log(node)
        node.incarnation += 1
        node.role, node.commit, node.lines, node.before = "follower", 0, [], {}
        if self.bug == "forgets_term":
            node.term, node.vote = max(0, node.term - 1), ""
            node.lines.append(f"term {node.term}: was 0")
        self.builder.add(
            "spawn",
            node=node.name,
            incarnation=node.incarnation,
            pid=100,
            start_ticks=1,
            attached=False,
        )

    def keep_log(self, node: Node) -> None:
        self.builder.logs[node.name, node.incarnation] = "".join(f"{line}\n" for line in node.lines)

    def report(self) -> None:
        """Every node answers; where a STATUS is of several moments, some fields are older."""
        for node in self.nodes.values():
            now = self.fields(node)
            older = now if self.atomic else {**now, **node.before}
            mixed = {name: self.rng.choice((now, older))[name] for name in now}
            role = mixed.pop("role")
            node.before = now
            self.builder.add(
                "role",
                step="1.1",
                node=node.name,
                role=role if role != "candidate" else None,
                how="reports" if role != "candidate" else "reports no role",
                leader=None,
                fields=mixed,
            )

    def fields(self, node: Node) -> dict[str, str]:
        applied = node.log[: node.commit]
        own = node.name if self.bug == "diverges" else ""
        return {
            "role": node.role,
            "term": str(node.term),
            "commit": str(node.commit),
            "applied": str(node.commit),
            "digest": str((own, applied)),
            "last_index": str(len(node.log)),
            "last_term": str(node.position()[0]),
            "log_digest": str(node.log),
        }
