"""What a cluster is, read from cluster.yaml: frozen values only. How they are read stands in `cluster_file.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kvsim.config.program import Program, Role
from kvsim.config.yaml_tree import Mark
from kvsim.limits import Own


@dataclass(frozen=True)
class NodeSpec:
    """One node as written. `port` is for `kvsim up`; a private run chooses its own. `ports` are the extra named ones."""

    name: str
    role: Role
    program: Program
    id: int  # its place in the file, from 1
    port: int | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)  # program's defaults, cluster's, node's: merged


@dataclass(frozen=True)
class Lag:
    """What a follower must show of a write that the leader acknowledged: `must`, `may` or `never`, and within what time."""

    follower_has: str = "may"
    within_s: float = Own(2.0)


@dataclass(frozen=True)
class Instead:
    """What a scenario says instead of its cluster file: every node's program (a path), options, how many nodes.

    `places`: where each was written (`program`, `nodes`, an option's name), for messages.
    """

    program: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    nodes: int | None = None
    places: Mapping[str, Mark] = field(default_factory=dict)


@dataclass(frozen=True)
class Cluster:
    """The nodes in the order of the file, and what holds for all of them."""

    name: str
    path: Path  # the file it was read from
    nodes: tuple[NodeSpec, ...]
    host: str = "127.0.0.1"
    lag: Lag = Lag()
    links: str = "direct"  # or proxied, or netns
    options: Mapping[str, str] = field(default_factory=dict)

    def node(self, name: str) -> NodeSpec:
        return next(node for node in self.nodes if node.name == name)

    @property
    def root(self) -> Path:
        """The folder the cluster file stands in: `runs/` and `.kvsim/` live there."""
        return self.path.parent
