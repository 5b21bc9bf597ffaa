"""The program under examination, started afresh for each examination, alone where it can live alone. Judges nothing.

Every wait has a limit: ready times are the program's own, requests have three seconds.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kvsim.client.exchange import Answer, Client, Request
from kvsim.config.cluster import Cluster, NodeSpec
from kvsim.config.names import CLIENT, Place
from kvsim.config.program import Probe, Program, Role
from kvsim.faults.netns.child import Network
from kvsim.faults.preload.control import Control, prepared
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.net import scratch
from kvsim.launcher.node import Node, Preload
from kvsim.process import netns
from kvsim.process.environment import Mark
from kvsim.process.ports import reserve

ASK_TIMEOUT_S = 3.0


@dataclass
class Ward:
    """A started patient. `node` is the one that is looked at; `events` is what its launcher noted."""

    launcher: Launcher
    node: Node
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    control: Control | None = None  # what was loaded into the node, where that was asked for
    network: Network | None = None  # what it lives in, where that was asked for

    def client(self) -> Client:
        """A fresh client of the node."""
        return self.launcher.connect(self.node.name)

    def ask(self, verb: str, timeout_s: float = ASK_TIMEOUT_S, **fields: str) -> Answer:
        """One request over a connection of its own."""
        client = self.client()
        try:
            return client.ask(Request(verb, fields), timeout_s)
        finally:
            client.close()

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [
            fields for name, fields in self.events if name == kind and fields.get("node") == self.node.name
        ]


@dataclass(frozen=True)
class Patient:
    """A program and the options it is started with."""

    program: Program
    options: dict[str, str] = field(default_factory=dict)
    followers: int = 0  # beside the leader, where one is started as such

    def can(self, *verbs: str) -> bool:
        return set(verbs) <= self.program.requests.keys()

    def without_log_probe(self) -> Patient:
        """The same, ready as soon as it serves: a log that is stuck in a buffer must not keep the doctor from looking."""
        ready = self.program.ready
        rest = tuple(probe for probe in ready.all_of if probe.kind != "log") or (
            Probe("port", {"state": "owned"}),
        )
        return replace(self, program=replace(self.program, ready=replace(ready, all_of=rest)))

    @contextlib.contextmanager
    def ward(self, *, inside: bool = False, apart: bool = False) -> Iterator[Ward]:
        """The patient, started and ready; everything of it is gone afterwards. Raises NodeFailed.

        With `inside` the library for faults of disks and clocks is loaded into it; raises NotBuilt where there is none. With `apart`
        each node lives in a network namespace with an address of its own; raises NoNetwork where that cannot be had.
        """
        nodes, mark = self._cast(), uuid.uuid4().hex
        extra = sum(len(node.program.ports) for node in nodes)
        with (
            scratch("kvsim-doctor-", mark) as folder,
            reserve(len(nodes) + extra) as reservation,
            contextlib.ExitStack() as stack,
        ):
            folder.chmod(0o755)  # for programs that run as another user
            network = stack.enter_context(_apart(nodes)) if apart else None
            ward = self._ward(nodes, mark, folder, list(reservation.ports), network)
            try:
                if inside:
                    ward.control = stack.enter_context(_prepared(folder, ward.launcher))
                ward.launcher.start_all()
                yield ward
            finally:
                ward.launcher.stop_all()

    def _cast(self) -> list[NodeSpec]:
        """A leader alone; three nodes where they choose their leader."""
        elects = "elects" in self.program.capabilities
        options = {**self.program.options, **self.options}
        roles = [Role.FOLLOWER] * 3 if elects else [Role.LEADER, *[Role.FOLLOWER] * self.followers]
        return [
            NodeSpec(name=f"n{at}", role=role, program=self.program, id=at, options=options)
            for at, role in enumerate(roles, 1)
        ]

    def _ward(
        self, nodes: list[NodeSpec], mark: str, folder: Path, ports: list[int], network: Network | None
    ) -> Ward:
        cluster = Cluster("doctor", folder / "cluster.yaml", tuple(nodes))
        events, held = [], []
        for node in nodes:
            place = Place(
                node,
                network.addresses[node.name] if network else cluster.host,
                ports.pop(0),
                str(folder / node.name / "data"),
                {extra: ports.pop(0) for extra in node.program.ports},
            )
            net = network.nets[node.name] if network else None
            held.append(Node(place, Mark(mark, node.name), folder / node.name, net=net))
        launcher = Launcher(cluster, held, lambda kind, **fields: events.append((kind, fields)))
        return Ward(launcher, held[0], events, network=network)


@contextlib.contextmanager
def _apart(nodes: list[NodeSpec]) -> Iterator[Network]:
    """A namespace for each node, and one for the clients, where this thread is meanwhile."""
    with (
        Network([CLIENT, *(node.name for node in nodes)], "doctor") as network,
        netns.inside(network.nets[CLIENT]),
    ):
        yield network


@contextlib.contextmanager
def _prepared(folder: Path, launcher: Launcher) -> Iterator[Control]:
    """The library in every node that is going to be started."""
    with prepared(folder / "control", {name: node.data for name, node in launcher.nodes.items()}) as control:
        for name, node in launcher.nodes.items():
            node.preload = Preload(control.library, control.variables(name))
        yield control
