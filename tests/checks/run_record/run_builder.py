"""Build a run's record in memory, event by event, for tests of the checks."""

from __future__ import annotations

from typing import Any

from kvsim.history.journal import Event
from kvsim.history.outcome import Outcome
from kvsim.history.run_record import RunRecord

ROLES = {"n1": "leader", "n2": "follower", "n3": "follower"}


class RunBuilder:
    """Events in order, a millisecond apart."""

    def __init__(self, **plan: Any) -> None:
        self.events: list[Event] = []
        self.logs: dict[tuple[str, int], str] = {}
        self.plan = plan
        self.step_id = "1.1"
        self.operations = 0

    def add(self, kind: str, **fields: Any) -> RunBuilder:
        self.events.append(Event(len(self.events) / 1000, kind, fields))
        return self

    def up(
        self, *, roles: dict[str, str] = ROLES, incarnation: int = 1, log: str = ""
    ) -> RunBuilder:
        """All nodes spawned, ready and asked for their roles."""
        for node, role in roles.items():
            self.add(
                "spawn", node=node, incarnation=incarnation, pid=100, start_ticks=1, attached=False
            )
            self.add(
                "ready",
                node=node,
                incarnation=incarnation,
                probes={"log": {"text": "", "offset": 0}},
            )
            self.logs[node, incarnation] = log or f"starting as {role.upper()}"
        return self.report_roles(**roles)

    def report_roles(self, term: str | None = None, **roles: str) -> RunBuilder:
        """The nodes are asked for their roles and report them."""
        for node, role in roles.items():
            fields = {"term": term} if term else {}
            self.add(
                "role",
                step=self.step_id,
                node=node,
                role=role,
                how="reports",
                leader=None,
                fields=fields,
            )
        return self

    def step(
        self, step_id: str, expectation: dict | None = None, result: str = "pass", why: str = ""
    ) -> RunBuilder:
        self.step_id = step_id
        self.add(
            "step",
            id=step_id,
            group="g",
            verb="put",
            line=1,
            text="put: …",
            expectation=expectation,
        )
        return self.add("step_end", id=step_id, result=result, why=why)

    def request(
        self, node: str, verb: str, outcome: Outcome, purpose: str = "step", **more: Any
    ) -> RunBuilder:
        """One operation on key k; a put or a cas writes `new` unless `more` names another value."""
        self.operations += 1
        at_s = len(self.events) / 1000
        fields = {
            "id": self.operations,
            "step": self.step_id,
            "purpose": purpose,
            "node": node,
            "incarnation": 1,
            "verb": verb,
            "key": "k",
            "value": "new" if verb in ("put", "cas") else None,
            "invoked_s": at_s,
            "completed_s": at_s + 0.0005,
            "connection": f"c -> {node}",
            "outcome": outcome.to_json(),
            **more,
        }
        return self.add(
            "operation", **{name: value for name, value in fields.items() if value is not None}
        )

    def read_back(self, outcomes: dict[str, Outcome], phase: str) -> RunBuilder:
        for node, outcome in outcomes.items():
            self.request(node, "get", outcome, purpose="readback", phase=phase)
        return self

    def record(self) -> RunRecord:
        nodes = {
            name: {
                "id": number,
                "role": role,
                "program": "p",
                "address": f"127.0.0.1:900{number}",
                "ports": [9000 + number],
                "capabilities": ["roles"],
                "role_log": {"leader": "as LEADER", "follower": "as FOLLOWER"},
                "clean_exits": [0],
                "connections": "promised",
                **self.plan,
            }
            for number, (name, role) in enumerate(ROLES.items(), 1)
        }
        return RunRecord({"nodes": nodes, "attached": False}, self.events, self.logs)
