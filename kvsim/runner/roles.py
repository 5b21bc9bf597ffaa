"""The roles of nodes, observed: every node is asked when a step runs.

Nothing is remembered but the last reply of a node that is down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from kvsim.client.exchange import Request
from kvsim.client.status import NodeStatus
from kvsim.config.program import Role
from kvsim.history.journal import Journal
from kvsim.history.outcome import OutcomeKind, Reason
from kvsim.history.run_record import UNKNOWN_ROLE
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node
from kvsim.runner.connections import Connections

# `how` of a role that the node itself reported.
REPORTS = "reports"
# `how` of a role that shows in what the node did with a write, where none can be asked for it.
ACCEPTS, REFUSES = "accepts a write", "refuses a write"
# A key that no scenario writes, for finding out which node accepts writes.
WRITE_KEY = "kvsim-who-leads"
# `how` of a role that is not in an answer where node.yaml says that it is.
UNREADABLE = "reports nothing that node.yaml reads as a role"


class RoleObservation(Struct, frozen=True):
    """A node's role and how it is known.

    `how`: `reports`, `reports no role`, UNREADABLE, `as configured` (its program cannot be asked),
    UNKNOWN_ROLE (nor does the cluster file say which node leads, or it may have changed since),
    ACCEPTS, REFUSES, `last reported` (it is down). `fields` is what else its status reported.
    `led_in`: the last round of questions in which it was the leader, from 1; 0: in none.
    """

    node: str
    up: bool
    role: Role | None
    how: str
    leader: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    led_in: int = 0

    @property
    def term(self) -> int:
        """The term that it reports; 0 where it reports none."""
        text = self.fields.get("term", "")
        return int(text) if text.isascii() and text.isdecimal() else 0

    def names_leader(self, leader: str | None) -> bool:
        """Whether it says that this node leads, and for itself that it does."""
        return leader is not None and (
            self.role is Role.LEADER if self.node == leader else self.leader == leader
        )

    def describe(self) -> str:
        """`reports leader`, `is down`."""
        return f"{self.how} {self.role or ''}".strip() if self.up else "is down"


class RoleObserver:
    """Ask all nodes for their roles and journal the replies."""

    def __init__(self, launcher: Launcher, connections: Connections, journal: Journal) -> None:
        self.launcher, self.connections, self.journal = launcher, connections, journal
        self._last: dict[str, RoleObservation] = {}
        self._rounds = 0
        self._led_in: dict[str, int] = {}
        # The program's own id of a node, as it reports it → the node.
        self._ids: dict[str, str] = {}

    def observe(self, step_id: str) -> dict[str, RoleObservation]:
        """Every node's role now, by node name.

        Nodes that all report that they lead are asked once more: the answers of a round are of
        several moments, and leadership may have moved between two of them.
        """
        roles = self._observe(self.launcher.nodes, step_id)
        leading = [name for name in leaders(roles) if roles[name].how == REPORTS]
        if len(leading) > 1:
            roles |= self._observe(leading, step_id)
        self._rounds += 1
        if leader := only_leader(roles):
            self._led_in[leader] = self._rounds
        return {
            name: replace(observed, led_in=self._led_in.get(name, 0))
            for name, observed in roles.items()
        }

    def find_by_write(
        self, step_id: str, roles: Mapping[str, RoleObservation]
    ) -> dict[str, RoleObservation]:
        """The roles, where none is known and followers refuse writes: by who accepts one.

        Unchanged where no node accepts it, or several do. Its key is deleted where it was accepted.
        """
        asked = [name for name, each in roles.items() if each.up and self._shows_by_write(each)]
        request = Request("put", {"key": WRITE_KEY, "value": f"asked-before-{step_id or 'a-step'}"})
        outcomes = {
            name: self.connections.ask(name, request, step=step_id, purpose="wait").outcome
            for name in asked
        }
        accepting = [name for name in asked if outcomes[name].kind is OutcomeKind.OK]
        for name in accepting:
            if "delete" in self.launcher.nodes[name].program.requests:
                self.connections.ask(
                    name, Request("delete", {"key": WRITE_KEY}), step=step_id, purpose="wait"
                )
        if len(accepting) != 1:
            return dict(roles)
        found = {accepting[0]: RoleObservation(accepting[0], True, Role.LEADER, ACCEPTS)}
        for name, outcome in outcomes.items():
            if outcome.reason is Reason.READ_ONLY:
                found[name] = RoleObservation(name, True, Role.FOLLOWER, REFUSES)
        for observation in found.values():
            self._note(step_id, observation)
        return {**roles, **found}

    def _shows_by_write(self, observation: RoleObservation) -> bool:
        program = self.launcher.nodes[observation.node].program
        refuses = {"elects", "forwards"} & program.capabilities == {"elects"}
        return observation.how == UNKNOWN_ROLE and refuses and "put" in program.requests

    def _observe(self, names: Iterable[str], step_id: str) -> dict[str, RoleObservation]:
        """The roles of these nodes; those that are up are asked side by side."""
        nodes = {name: self.launcher.nodes[name] for name in names}
        up = [name for name, node in nodes.items() if node.up]
        statuses = self.connections.ask_status_each(up, step=step_id)
        for name, status in statuses.items():
            if status and (own_id := status.fields.get("self")):
                self._ids[own_id] = name
        found = {}
        for name, node in nodes.items():
            if name not in statuses:
                before = self._last.get(name)
                role = before.role if before else self._configured(node)[0]
                found[name] = RoleObservation(name, False, role, "last reported")
                continue
            status = statuses[name]
            if status is None:
                found[name] = RoleObservation(name, True, *self._configured(node))
            else:
                found[name] = self._reported(name, status)
            self._note(step_id, found[name])
        return found

    def _note(self, step_id: str, observation: RoleObservation) -> None:
        self._last[observation.node] = observation
        self.journal.write(
            "role",
            step=step_id,
            node=observation.node,
            role=observation.role,
            how=observation.how,
            fields=dict(observation.fields),
        )

    def _configured(self, node: Node) -> tuple[Role | None, str]:
        """The role that the cluster file gives a node, if it says which node leads.

        The nodes of a store that elects may have another leader once one was missing.
        """
        leads = any(other.spec.role is Role.LEADER for other in self.launcher.nodes.values())
        known = leads and not ("elects" in node.program.capabilities and self._was_disturbed())
        return (node.spec.role, "as configured") if known else (None, UNKNOWN_ROLE)

    def _was_disturbed(self) -> bool:
        nodes = self.launcher.nodes.values()
        return self.connections.silence.disturbed or any(
            not node.up or node.incarnation > 1 for node in nodes
        )

    def _reported(self, name: str, status: NodeStatus) -> RoleObservation:
        how = REPORTS if status.role else "reports no role"
        query = self.launcher.nodes[name].program.status
        if status.answered and query and "role" in query.fields and "role" not in status.fields:
            how = UNREADABLE
        named = status.fields.get("leader", "")
        leader = self._ids.get(named) or self.launcher.node_at(named)
        return RoleObservation(name, True, status.role, how, leader, dict(status.fields))


def no_role_is_known(roles: Mapping[str, RoleObservation]) -> bool:
    """Whether nothing says of any node that is up which role it has."""
    return not any(observed.up and observed.role for observed in roles.values())


def leaders(roles: Mapping[str, RoleObservation]) -> list[str]:
    """The nodes that are up and report that they lead."""
    return [
        name for name, observed in roles.items() if observed.up and observed.role is Role.LEADER
    ]


def unreadable_status(roles: Mapping[str, RoleObservation]) -> str:
    """What to mend in node.yaml when it reads no role in the answer of any node; else empty."""
    answers = [observed for observed in roles.values() if observed.up]
    if any(observed.role for observed in roles.values()):
        return ""
    if not any(observed.how == UNREADABLE for observed in answers):
        return ""
    return (
        "no node's reply to `status` has what node.yaml reads as its role (`status`, `role`): "
        "describe the reply as it is, or leave `status` out of `requests`"
    )


def only_leader(roles: Mapping[str, RoleObservation]) -> str | None:
    """The leader: of several that report it, the one with the highest term.

    None when there is none, or several of one term.
    """
    found = of_highest_term([roles[name] for name in leaders(roles)])
    return found[0] if len(found) == 1 else None


def of_highest_term(observations: Sequence[RoleObservation]) -> list[str]:
    """The nodes among these that report the highest term."""
    highest = max((observed.term for observed in observations), default=0)
    return [observed.node for observed in observations if observed.term == highest]


def describe_roles(roles: Mapping[str, RoleObservation]) -> str:
    """What every node reports, for messages: `n1 reports leader, n2 is down`."""
    return ", ".join(f"{name} {observed.describe()}" for name, observed in roles.items())
