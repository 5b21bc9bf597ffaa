"""Who is who, observed: every node is asked when a step runs; nothing is remembered but what a node that is down said last."""

from __future__ import annotations

from dataclasses import dataclass

from kvsim.client.status import NodeStatus
from kvsim.config.program import Role
from kvsim.history.journal import Journal
from kvsim.launcher.launcher import Launcher
from kvsim.scenario.sessions import Sessions


@dataclass(frozen=True)
class RoleSeen:
    """A node's role and how it is known: `says`, `as configured` (its program cannot be asked), `when last seen` (it is down)."""

    node: str
    up: bool
    role: Role | None
    how: str
    leader: str | None = None
    fields: dict[str, str] | None = None


class Roles:
    """Ask all nodes for their roles and journal the answers."""

    def __init__(self, launcher: Launcher, sessions: Sessions, journal: Journal) -> None:
        self.launcher, self.sessions, self.journal = launcher, sessions, journal
        self._last: dict[str, RoleSeen] = {}

    def look(self, step: str) -> dict[str, RoleSeen]:
        """Every node's role now, by node name."""
        return {name: self._look_at(name, step) for name in self.launcher.nodes}

    def _look_at(self, name: str, step: str) -> RoleSeen:
        node = self.launcher.nodes[name]
        if not node.up:
            before = self._last.get(name)
            return RoleSeen(name, False, before.role if before else node.spec.role, "when last seen")
        status = self.sessions.ask_status(name, step=step)
        seen = _configured(name, node.spec.role) if status is None else self._told(name, status)
        self._last[name] = seen
        self.journal.write(
            "role",
            step=step,
            node=name,
            role=seen.role,
            how=seen.how,
            leader=seen.leader,
            fields=seen.fields or {},
        )
        return seen

    def _told(self, name: str, status: NodeStatus) -> RoleSeen:
        how = "says" if status.role else "does not say"
        leader = self.launcher.node_at(status.fields.get("leader"))
        return RoleSeen(name, True, status.role, how, leader, dict(status.fields))


def _configured(name: str, role: Role) -> RoleSeen:
    return RoleSeen(name, True, role, "as configured")


def leaders(seen: dict[str, RoleSeen]) -> list[str]:
    """The nodes that are up and say that they are the leader."""
    return [name for name, role in seen.items() if role.up and role.role is Role.LEADER]
