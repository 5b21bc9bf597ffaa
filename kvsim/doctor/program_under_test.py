"""Start the program under test: a new cluster for each diagnostic, removed afterwards.

A leader alone where a leader can run alone, or the nodes of a cluster file. The node that leads is
examined. Judges nothing. Every wait has a limit: node.yaml's own for starting and stopping,
`timeout_s` for a request.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from kvsim.client.exchange import Client, Request, Response
from kvsim.client.status import ask_status
from kvsim.config.cluster import DEFAULT_HOST, Cluster, NodeSpec
from kvsim.config.names import CLIENT
from kvsim.config.needs import meets
from kvsim.config.program import Probe, Program, Role
from kvsim.faults.preload.control import PreloadControl, prepare_preload
from kvsim.history.outcome import OutcomeKind
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node, Orphan, Preload
from kvsim.launcher.prepare import owners_of
from kvsim.launcher.watchdog_guard import scratch
from kvsim.logs.log_file import LogFile
from kvsim.network.addresses import NodeAddress
from kvsim.network.netns.router_handle import NetworkNamespaces
from kvsim.process import netns
from kvsim.process.child import Child
from kvsim.process.environment import ProcessTag, new_run_tag
from kvsim.process.inherited import check_inherited
from kvsim.process.ports import reserve
from kvsim.process.sockets import Listener, listening
from kvsim.waiting import Deadline, TimedOut, wait_until

TIMEOUT_S = 3.0
# A store that elects its leader serves some time after it has started.
ELECTION_WAIT_S = 10.0
FOLLOWERS = 2


class RunningProgram(Struct):
    """A started program. `node` is the examined one, which leads where a node leads; `events` is
    what its launcher reported.

    `control` and `network` are there where `start` was asked for them. `timeout_s` is for requests.
    """

    launcher: Launcher
    node: Node
    timeout_s: float
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    control: PreloadControl | None = None
    network: NetworkNamespaces | None = None

    @property
    def process(self) -> Child | Orphan:
        """The examined node's own process."""
        return self.node.started_process

    def log_of(self, node: str) -> LogFile:
        """The log of a started node."""
        return self.launcher.nodes[node].log

    def listeners(self) -> list[Listener]:
        """The listening sockets of the examined node's processes."""
        return listening(self.node.tree())

    def client(self) -> Client:
        """A new client of the node."""
        return self.launcher.connect(self.node.name)

    def ask(
        self, verb: str, fields: Mapping[str, str] | None = None, timeout_s: float | None = None
    ) -> Response:
        """One request over a new connection."""
        client = self.client()
        try:
            return client.ask(Request(verb, fields or {}), timeout_s or self.timeout_s)
        finally:
            client.close()

    def examine_leader(self) -> None:
        """Examine the node that leads now, where several run and one can be found in time."""
        nodes = list(self.launcher.nodes.values())
        if len(nodes) > 1:
            deadline = Deadline.after(ELECTION_WAIT_S)
            with contextlib.suppress(TimedOut):
                found = wait_until(lambda: [*filter(self._leads, nodes)], deadline, "a leader")
                self.node = found[0]

    def _leads(self, node: Node) -> bool:
        """By its own report; without one by the cluster file, or by an accepted write."""
        if not node.up:
            return False
        client = self.launcher.connect(node.name)
        try:
            names = self.launcher.client_names(node.name)
            status = ask_status(client, node.program, self.timeout_s, names)
            if status is not None:
                return status.role is Role.LEADER
            if "elects" not in node.program.capabilities:
                return node.spec.role is Role.LEADER
            put = Request("put", {"key": "doctor", "value": "leads"})
            return client.ask(put, self.timeout_s).outcome.kind is OutcomeKind.OK
        finally:
            client.close()

    def events_of(self, kind: str) -> list[dict[str, Any]]:
        """The launcher's events of one kind about the examined node."""
        return [
            fields
            for name, fields in self.events
            if name == kind and fields.get("node") == self.node.name
        ]


class ProgramUnderTest(Struct, frozen=True):
    """A program and how it is started. `followers`: beside the leader, where roles are fixed.

    `cluster`: its nodes are started instead, with their own options and programs; `spec` is then
    the program of its leader.
    """

    spec: Program
    options: Mapping[str, str] = field(default_factory=dict)
    followers: int = 0
    timeout_s: float = TIMEOUT_S
    cluster: Cluster | None = None

    @classmethod
    def of_cluster(cls, cluster: Cluster) -> ProgramUnderTest:
        """The nodes of a cluster file."""
        leading = [node for node in cluster.nodes if node.role is Role.LEADER]
        return cls([*leading, *cluster.nodes][0].program, cluster=cluster)

    def with_followers(self) -> ProgramUnderTest | None:
        """The same with followers beside the leader; None where it has other nodes already."""
        if self.cluster is not None or self.followers or "elects" in self.spec.capabilities:
            return None
        return replace(self, followers=FOLLOWERS)

    def supports(self, *verbs: str) -> bool:
        return set(verbs) <= self.spec.requests.keys()

    @contextlib.contextmanager
    def start(
        self, *, wait_for_log: bool = False, preload: bool = False, network: bool = False
    ) -> Iterator[RunningProgram]:
        """The program, started and ready; nothing of it remains afterwards. Raises NodeFailed.

        Without `wait_for_log` the program is ready as soon as it serves: a log that is stuck in a
        buffer must not stop the other diagnostics. With `preload` the library for faults of disks
        and clocks is loaded; raises NotBuilt where there is none. With `network` each node runs in
        its own network namespace, at its own address; raises NoNetwork where that is impossible.
        """
        nodes, tag = self._node_specs(wait_for_log=wait_for_log), new_run_tag()
        ports_count = len(nodes) + sum(len(node.program.ports) for node in nodes)
        with (
            scratch("kvsim-doctor-", tag) as folder,
            reserve(ports_count, apart=True) as reservation,
            contextlib.ExitStack() as stack,
        ):
            # A program may run as another user.
            folder.chmod(0o755)
            namespaces = stack.enter_context(_namespaces(nodes)) if network else None
            running = self._running(nodes, tag, folder, list(reservation.ports), namespaces)
            try:
                if preload:
                    running.control = stack.enter_context(_preloaded(folder, running.launcher))
                running.launcher.start_all()
                running.examine_leader()
                yield running
            finally:
                running.launcher.stop_all()

    def _node_specs(self, *, wait_for_log: bool) -> list[NodeSpec]:
        """The nodes of the cluster file; without one, a leader alone; three nodes where they elect
        their leader, or where a leader alone acknowledges nothing.
        """

        def started(program: Program) -> Program:
            return program if wait_for_log else _without_log_probe(program)

        if self.cluster is not None:
            return [replace(node, program=started(node.program)) for node in self.cluster.nodes]
        spec = started(self.spec)
        elects = "elects" in spec.capabilities
        followers = max(self.followers, 0 if meets(spec, "acks_alone") else 2)
        roles = [Role.FOLLOWER] * 3 if elects else [Role.LEADER, *[Role.FOLLOWER] * followers]
        options = {**spec.options, **self.options}
        return [
            NodeSpec(name=f"n{number}", role=role, program=spec, id=number, options=options)
            for number, role in enumerate(roles, 1)
        ]

    def _running(
        self,
        specs: list[NodeSpec],
        tag: str,
        folder: Path,
        ports: list[int],
        network: NetworkNamespaces | None,
    ) -> RunningProgram:
        host = self.cluster.host if self.cluster else DEFAULT_HOST
        cluster = Cluster("doctor", folder / "cluster.yaml", tuple(specs), host=host)
        events: list[tuple[str, dict[str, Any]]] = []
        nodes = []
        for spec in specs:
            address = NodeAddress(
                spec,
                network.addresses[spec.name] if network else cluster.host,
                ports.pop(0),
                str(folder / spec.name / "data"),
                {extra: ports.pop(0) for extra in spec.program.ports},
            )
            net = network.namespaces[spec.name] if network else None
            nodes.append(Node(address, ProcessTag(tag, spec.name), folder / spec.name, net=net))
        check_inherited()
        launcher = Launcher(cluster, nodes, lambda kind, **fields: events.append((kind, fields)))
        return RunningProgram(launcher, nodes[0], self.timeout_s, events, network=network)


def _without_log_probe(spec: Program) -> Program:
    other = tuple(probe for probe in spec.ready.all_of if probe.kind != "log")
    probes = other or (Probe("port", {"state": "owned"}),)
    return replace(spec, ready=replace(spec.ready, all_of=probes))


@contextlib.contextmanager
def _namespaces(nodes: list[NodeSpec]) -> Iterator[NetworkNamespaces]:
    """A namespace for each node, and one for the clients, which this thread enters."""
    with (
        NetworkNamespaces([CLIENT, *(node.name for node in nodes)], "doctor") as network,
        netns.in_namespace(network.namespaces[CLIENT]),
    ):
        yield network


@contextlib.contextmanager
def _preloaded(folder: Path, launcher: Launcher) -> Iterator[PreloadControl]:
    """Every node that starts from here on loads the library."""
    data_dirs = {name: node.data for name, node in launcher.nodes.items()}
    owners = owners_of(node.spec for node in launcher.nodes.values())
    with prepare_preload(folder / "control", data_dirs, owners) as control:
        for name, node in launcher.nodes.items():
            node.preload = Preload(control.library, control.variables(name))
        yield control
