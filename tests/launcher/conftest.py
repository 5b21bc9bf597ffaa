"""A cluster of small stores, started by the launcher alone: no scenario, no journal but a list."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kvsim.config.cluster_file import load_cluster
from kvsim.config.names import Place
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node
from kvsim.process.environment import Mark
from kvsim.process.ports import reserve

STORE = Path(__file__).parents[1] / "hostile" / "store.py"
BASE = """\
program: small
start: ["{python}", -I, STORE, "--port={port}", "--data-dir={data_dir}", "--role={role}", --how=well_behaved]
speak: lines
requests: {get: "GET {key}", ping: PING}
replies: {ping: {ok: "^PONG$"}, get: {value: "^VALUE (?P<value>.*)$", not_found: "^NOT_FOUND$"}}
"""
CLUSTER = "cluster: c\nprogram: node.yaml\nnodes: {n1: {role: leader}, n2: {role: follower}}\n"


@dataclass
class Stage:
    """A launcher and what it noted."""

    launcher: Launcher
    notes: list[tuple[str, dict]] = field(default_factory=list)

    def order(self, kind: str) -> list[str]:
        return [fields["node"] for name, fields in self.notes if name == kind]

    def gates(self, node: str) -> dict:
        return next(
            fields["gates"] for name, fields in self.notes if name == "ready" and fields["node"] == node
        )


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """`stage(more, base=…)`: a cluster of two whose node.yaml is `base` and `more`; stopped afterwards."""
    made: list[Stage] = []
    with reserve(4) as reservation:

        def make(more: str, base: str = BASE) -> Stage:
            (tmp_path / "node.yaml").write_text((base + more).replace("STORE", json.dumps(str(STORE))))
            (tmp_path / "cluster.yaml").write_text(CLUSTER)
            cluster = load_cluster(tmp_path / "cluster.yaml")
            mark, notes, nodes, ports = uuid.uuid4().hex, [], [], list(reservation.ports)
            for node in cluster.nodes:
                extra = {name: ports[2 + at] for at, name in enumerate(node.program.ports)}
                place = Place(
                    node, cluster.host, ports[node.id - 1], str(tmp_path / node.name / "data"), extra
                )
                nodes.append(Node(place, Mark(mark, node.name), tmp_path / node.name))
            launcher = Launcher(cluster, nodes, lambda kind, **fields: notes.append((kind, fields)))
            made.append(Stage(launcher, notes))
            return made[-1]

        yield make
        for one in made:
            one.launcher.stop_all()
