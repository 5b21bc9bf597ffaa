"""A cluster of small stores, started by the launcher alone: no scenario, no journal file."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kvsim.config.cluster_loader import load_cluster
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node
from kvsim.network.addresses import NodeAddress
from kvsim.process.environment import ProcessTag
from kvsim.process.ports import reserve
from kvsim.runner.registry import REGISTRY

STORE = Path(__file__).parents[1] / "hostile" / "store.py"
BASE = """\
program: small
start:
  ["{python}", -I, STORE, "--port={port}", "--data-dir={data_dir}", "--role={role}",
   --how=well_behaved]
speak: lines
requests: {get: "GET {key}", ping: PING}
replies: {ping: {ok: "^PONG$"}, get: {value: "^VALUE (?P<value>.*)$", not_found: "^NOT_FOUND$"}}
"""
CLUSTER = "cluster: c\nprogram: node.yaml\nnodes: {n1: {role: leader}, n2: {role: follower}}\n"


@dataclass
class StartedCluster:
    """A launcher and the events that it recorded, as (kind, fields)."""

    launcher: Launcher
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [fields for name, fields in self.events if name == kind]

    def nodes_of(self, kind: str) -> list[str]:
        """The nodes of all events of a kind, in order."""
        return [fields["node"] for fields in self.of_kind(kind)]

    def evidence(self, node: str) -> dict[str, Any]:
        """Probe -> evidence that a node is ready."""
        return next(event["probes"] for event in self.of_kind("ready") if event["node"] == node)


@pytest.fixture
def build_cluster(tmp_path: Path) -> Iterator[Callable[..., StartedCluster]]:
    """`build_cluster(more, base=…)`: two nodes whose node.yaml is `base` and `more`.

    They are stopped at the end of the test.
    """
    built: list[StartedCluster] = []
    with reserve(4) as reservation:

        def build(more: str, base: str = BASE) -> StartedCluster:
            (tmp_path / "node.yaml").write_text(
                (base + more).replace("STORE", json.dumps(str(STORE)))
            )
            (tmp_path / "cluster.yaml").write_text(CLUSTER)
            cluster = load_cluster(tmp_path / "cluster.yaml", REGISTRY)
            run, events, nodes, ports = uuid.uuid4().hex, [], [], list(reservation.ports)
            for node in cluster.nodes:
                extra = {name: ports[2 + index] for index, name in enumerate(node.program.ports)}
                data_dir = str(tmp_path / node.name / "data")
                address = NodeAddress(node, cluster.host, ports[node.id - 1], data_dir, extra)
                nodes.append(Node(address, ProcessTag(run, node.name), tmp_path / node.name))
            launcher = Launcher(
                cluster, nodes, lambda kind, **fields: events.append((kind, fields))
            )
            built.append(StartedCluster(launcher, events))
            return built[-1]

        yield build
        for cluster in built:
            cluster.launcher.stop_all()
