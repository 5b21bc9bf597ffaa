"""Write a run's record by hand, a line an event: for tests of the checks, without a process."""

from __future__ import annotations

from typing import Any

from kvsim.history.journal import Event
from kvsim.history.outcome import Outcome
from kvsim.history.record import Record

ROLES = {"n1": "leader", "n2": "follower", "n3": "follower"}


class Story:
    """Events in order, a millisecond apart."""

    def __init__(self, **plan: Any) -> None:
        self.events: list[Event] = []
        self.logs: dict[tuple[str, int], str] = {}
        self.plan = plan
        self.step_id = "1.1"
        self.operations = 0

    def add(self, kind: str, **fields: Any) -> Story:
        self.events.append(Event(len(self.events) / 1000, kind, fields))
        return self

    def up(self, *, roles: dict[str, str] = ROLES, incarnation: int = 1, log: str = "") -> Story:
        """All nodes spawned, ready and asked for their roles."""
        for node, role in roles.items():
            self.add("spawn", node=node, incarnation=incarnation, pid=100, start_ticks=1, attached=False)
            self.add("ready", node=node, incarnation=incarnation, gates={"log": {"text": ""}})
            self.logs[node, incarnation] = log or f"starting as {role.upper()}"
        return self.told(**roles)

    def told(self, epoch: str | None = None, **roles: str) -> Story:
        """The nodes are asked and say their roles."""
        for node, role in roles.items():
            fields = {"epoch": epoch} if epoch else {}
            self.add("role", step=self.step_id, node=node, role=role, how="says", leader=None, fields=fields)
        return self

    def step(self, step_id: str, wanted: dict | None = None, result: str = "pass", why: str = "") -> Story:
        self.step_id = step_id
        self.add("step", id=step_id, group="g", verb="put", line=1, text="put: …", wanted=wanted)
        return self.add("step_end", id=step_id, result=result, why=why)

    def asked(self, node: str, verb: str, outcome: Outcome, purpose: str = "step", **more: Any) -> Story:
        """One operation on key k; a put or a cas writes `new` unless told otherwise."""
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
        return self.add("operation", **{name: value for name, value in fields.items() if value is not None})

    def read(self, outcomes: dict[str, Outcome], phase: str) -> Story:
        for node, outcome in outcomes.items():
            self.asked(node, "get", outcome, purpose="readback", phase=phase)
        return self

    def record(self) -> Record:
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
                "lasting": True,
                **self.plan,
            }
            for number, (name, role) in enumerate(ROLES.items(), 1)
        }
        return Record({"nodes": nodes, "attached": False}, self.events, self.logs)
