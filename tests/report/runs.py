"""Run directories for tests of reports: written by the test, of any size, without a process."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from kvsim.history.history import FaultTraits, History, RoleSample
from kvsim.history.operations import Operations
from kvsim.history.record_schema import RECORD_FORMAT
from kvsim.run_directory import RunDirectory
from kvsim.structs import to_dict

NODES = ("n1", "n2", "n3")


def node_plan(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "role": "leader" if number == 1 else "follower",
        "program": "kvstore",
        "address": f"127.0.0.1:900{number}",
        "ports": [9000 + number],
        "capabilities": ["roles"],
        "guarantees": {},
        "hosts": [],
        "role_log": {},
        "clean_exits": [0],
        "own_signal_is_clean": False,
        "connections": "promised",
    }


META = {
    "format": RECORD_FORMAT,
    "kvsim": "0.1.0",
    "python": "3.11",
    "system": "Linux",
    "when": "2026-01-01 00:00:00 +0000",
    "run": "0" * 32,
    "directory": "20260101-000000-written",
    "cell": {},
    "scenario": "written",
    "title": "A run written by hand",
    "scenario_file": "scenarios/written.yaml",
    "cluster": "three",
    "cluster_file": "cluster.yaml",
    "seed": 7,
    "vars": {},
    "variables": {},
    "checks": [],
    "repeat_command": "python -m kvsim run scenarios/written.yaml --seed 7",
    "attached": False,
    "program_replaced": False,
    "time_limits": {"how": "as-written", "default_factor": 1.0, "user_factor": 1.0, "measured": {}},
    "preloaded": None,
    "lag": {"follower": "may", "within_s": 2.0},
    "nodes": {name: node_plan(number) for number, name in enumerate(NODES, 1)},
}


# What an event holds besides the fields that a test is about.
USUAL_FIELDS: dict[str, dict[str, Any]] = {
    "fault_plan": {"traits": to_dict(FaultTraits())},
    "load_start": {
        "id": "1.1",
        "clients": 1,
        "mix": {"put": 1},
        "keys": ["k"],
        "key_count": 1,
        "at": "leader",
        "reads": None,
        "writes_at": ["n1"],
        "reads_at": ["n1"],
        "rate": None,
        "timeout_s": 1.0,
        "minima": {},
    },
}


class Writer:
    """Write one run directory, event by event."""

    def __init__(self, folder: Path) -> None:
        self.run = RunDirectory(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.run.write_meta(META)
        self.run.scenario.write_text("scenario: written\n")
        self.run.cluster.write_text("cluster: three\n")
        self.events: list[dict[str, Any]] = []
        self.operations = 0

    def event(self, at_s: float, kind: str, **fields: Any) -> None:
        usual = USUAL_FIELDS.get(kind, {})
        self.events.append({"t": at_s, "event": kind, **usual, **fields})

    def node(self, name: str, at_s: float, log: str = "", incarnation: int = 1) -> None:
        """A node that starts and is ready."""
        path = self.run.log(name, incarnation)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(log)
        about = {"node": name, "incarnation": incarnation}
        address = META["nodes"][name]["address"]
        self.event(
            at_s,
            "spawn",
            **about,
            pid=100 + incarnation,
            start_ticks=1,
            argv=["kv"],
            address=address,
            attached=False,
        )
        self.event(at_s + 0.01, "ready", **about, probes={"ping": {}})

    def role(self, name: str, at_s: float, role: str, term: str = "") -> None:
        self.event(
            at_s,
            "role",
            step="",
            node=name,
            role=role,
            how="reports",
            leader=None,
            fields={"term": term},
        )

    def operation(
        self,
        at_s: float,
        node: str,
        verb: str,
        outcome: dict[str, Any],
        took_s: float = 0.001,
        **more: Any,
    ) -> None:
        self.operations += 1
        key = more.pop("key", "k")
        fields = {
            "id": self.operations,
            "step": "1.1",
            "purpose": "step",
            "node": node,
            "incarnation": 1,
            "verb": verb,
            "key": key,
            "sent": f"{verb.upper()} {key} v\n".encode().decode("latin-1"),
            "received": "OK\n",
            "invoked_s": at_s,
            "completed_s": at_s + took_s,
            "connection": "a -> b",
            "outcome": outcome,
        }
        self.event(at_s + took_s, "operation", **{**fields, **more})

    def step(
        self,
        begin_s: float,
        end_s: float | None,
        result: str = "pass",
        why: str = "",
        id: str = "1.1",
    ) -> None:
        about = {
            "id": id,
            "group": "one",
            "verb": "put",
            "at": "leader",
            "line": 6,
            "text": "put: {at: leader}",
        }
        self.event(
            begin_s,
            "step",
            **about,
            targets=["n1"],
            resolved="reports",
            expect="ok",
            expectation=None,
        )
        if end_s is not None:
            self.event(end_s, "step_end", id=id, result=result, why=why)

    def close(self, how: str | None = "finished") -> RunDirectory:
        self.events.sort(key=lambda event: event["t"])
        if how is not None:
            self.event(
                max((event["t"] for event in self.events), default=0.0) + 0.01, "end", how=how
            )
        lines = [json.dumps(event, separators=(",", ":")) for event in self.events]
        self.run.journal.write_text("".join(line + "\n" for line in lines))
        return self.run


def failed_run(folder: Path, *, how: str | None = "finished") -> RunDirectory:
    """A run with a failed step, a lost reply, a node that exits and two idle seconds.

    `how` is how it ended; None: kvsim wrote no end.
    """
    made = Writer(folder)
    for name in NODES:
        made.node(
            name,
            0.01,
            "starting up\nlistening\n" + "".join(f"line {n} of {name}\n" for n in range(400)),
        )
        made.role(name, 0.05, "leader" if name == "n1" else "follower", "3")
    made.step(0.06, 0.1, id="1.1")
    made.operation(0.07, "n1", "put", {"kind": "ok"}, value="first", key="apple")
    made.step(2.2, 2.6, "fail", "n2: got refused (read_only)", id="1.2")
    refusal = {"kind": "refused", "reason": "read_only", "detail": "ERR read-only"}
    made.operation(
        2.25, "n2", "put", refusal, step="1.2", received="ERR read-only, leader is on port 9001\n"
    )
    made.operation(
        2.3,
        "n1",
        "get",
        {"kind": "unknown", "reason": "timeout", "detail": "no reply in 300 ms"},
        0.3,
        step="1.2",
        received="",
    )
    made.event(2.27, "log", node="n2", incarnation=1, size=60)
    for at_s, files in ((2.28, 12), (2.53, 30)):
        used = {"memory": files << 20, "threads": 1, "files": files, "disk": 4096}
        made.event(at_s, "usage", node="n2", incarnation=1, **used)
    made.event(
        2.65,
        "exit",
        node="n3",
        incarnation=1,
        status=None,
        signal="SIGSEGV",
        description="was ended by SIGSEGV",
        requested=False,
        flooded=False,
        tail=[],
    )
    fault = {"id": "1.3", "fault": "pause", "nodes": ["n2"], "settings": {}, "required": True}
    made.event(2.7, "fault_plan", **fault)
    made.event(2.7, "fault_begin", id="1.3")
    made.event(
        2.71,
        "fault_evidence",
        id="1.3",
        subject="n2",
        took_effect=True,
        message="n2: every thread is stopped",
        measured={},
    )
    made.event(2.9, "fault_end", id="1.3", recovered=True, messages=["n2 answers again"])
    made.event(
        2.95, "signal", node="n1", incarnation=1, signal="SIGTERM", why="stopping", after_s=0.0
    )
    stopped = {
        "was_running": True,
        "ignored": [],
        "killed": False,
        "leftovers": [],
        "survivors": [],
        "port_open": False,
        "took_s": 0.02,
    }
    made.event(2.96, "stopped", node="n1", incarnation=1, **stopped)
    made.event(
        2.97,
        "exit",
        node="n1",
        incarnation=1,
        status=0,
        signal=None,
        description="exited with status 0",
        requested=True,
        flooded=False,
        tail=[],
    )
    return made.close(how)


def load(count: int, seed: int = 1, clients: int = 16) -> History:
    """The history of a load: clients in a closed loop for some seconds, and a change of leader."""
    rng = random.Random(seed)
    operations = Operations()
    free_ns = [rng.randrange(1_000_000) for _ in range(clients)]
    number = list(range(1, clients + 1))
    for made in range(count):
        lane = min(range(clients), key=free_ns.__getitem__)
        call, took = free_ns[lane], int(rng.expovariate(1 / 300_000)) + 50_000
        unknown = rng.random() < 0.002
        outcome = "unknown" if unknown else "refused" if rng.random() < 0.01 else "ok"
        kind = "put" if rng.random() < 0.5 else "get"
        back = call + (took if not unknown else 300_000_000)
        operations.add(
            call,
            back,
            number[lane],
            f"key-{rng.randrange(20)}",
            kind,
            f"v{made}",
            outcome=outcome,
            node=rng.choice(NODES),
        )
        free_ns[lane] = back + rng.randrange(50_000)
        if unknown:
            number[lane] = max(number) + 1
    end_ns = max(free_ns)
    samples = (
        RoleSample(1_000_000, "n1", "leader", 1),
        RoleSample(1_000_000, "n2", "follower", 1),
        RoleSample(end_ns // 2, "n2", "leader", 2),
        RoleSample(end_ns // 2, "n1", "follower", 2),
    )
    return History(operations, samples)
