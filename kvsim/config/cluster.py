"""What a cluster is: frozen values only. `cluster_loader` reads them from cluster.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from kvsim.config.program import Program, Role
from kvsim.config.yaml_nodes import SourceLocation
from kvsim.timeouts import DefaultTimeout

DEFAULT_HOST = "127.0.0.1"


class NodeSpec(Struct, frozen=True, kw_only=True):
    """A node of the file. `id` is its position there, from 1.

    `port` and the extra named `ports` are for `kvsim up`; a private run chooses free ports.
    `options` are the program's defaults, the cluster's and the node's, merged.
    """

    name: str
    role: Role
    program: Program
    id: int
    port: int | None = None
    ports: Mapping[str, int] = field(default_factory=dict)
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def survives_power(self) -> bool:
        """Whether it is guaranteed that what it acknowledged survives a power cut."""
        return self.program.survives.power(self.options)

    @property
    def power_loses_s(self) -> float:
        """What a power cut may take of the last writes, in seconds."""
        return self.program.survives.loses_s(self.options)


class Lag(Struct, frozen=True):
    """Whether a follower shows a write that the leader acknowledged, and after which time.

    `follower_has`: must | may | never.
    """

    follower_has: str = "may"
    within_s: float = DefaultTimeout(2.0)


class Overrides(Struct, frozen=True):
    """Values of a scenario that replace those of its cluster file: the program of all nodes (a
    path), options, the number of nodes.

    `locations`: where each is written (`program`, `nodes`, an option's name), for messages.
    """

    program: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    nodes: int | None = None
    locations: Mapping[str, SourceLocation] = field(default_factory=dict)


class Cluster(Struct, frozen=True):
    """The nodes in the order of the file, and what holds for all of them.

    `path` is the file. `links`: direct | proxied | netns. `program_replaced`: the nodes run another
    program than the files name, which cannot be blamed for what it lacks.
    """

    name: str
    path: Path
    nodes: tuple[NodeSpec, ...]
    host: str = DEFAULT_HOST
    lag: Lag = Lag()
    links: str = "direct"
    options: Mapping[str, str] = field(default_factory=dict)
    program_replaced: bool = False

    def node(self, name: str) -> NodeSpec:
        return next(node for node in self.nodes if node.name == name)
