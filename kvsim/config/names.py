"""The names that templates of a program may use, and their values for one node. Pure.

The table NODE_NAMES is what `node.yaml` is checked against and what the docs print; `names_for` makes the values. It does
not choose ports or folders: whoever starts the nodes hands them in.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kvsim.config.cluster import Cluster, NodeSpec
from kvsim.config.program import Program, Role
from kvsim.config.template import Known

EVERY_NODE = {  # also inside lists, and as {leader.…} and {nodes.NAME.…}
    "name": "the node's name in cluster.yaml: n1",
    "id": "its place in cluster.yaml, from 1",
    "role": "its role in the program's own word (`role_words`)",
    "host": "the address it listens on: 127.0.0.1",
    "port": "its client port",
    "addr": "host:port",
    "data_dir": "its own empty folder",
}
THIS_NODE = {
    **EVERY_NODE,
    "python": "the Python interpreter that runs kvsim",
    "program_dir": "the folder node.yaml stands in",
    "cluster": "the cluster's name",
}
ADVICE = {
    "ports.NAME": "an extra port of this node, named in `ports`",
    "leader.host, leader.port, leader.addr, …": "the leader as this node is to reach it",
    "nodes.n2.port, nodes.n2.ports.NAME, …": "any node by its name",
    "OPTION": "any key of the program's `options`",
}
REQUEST_NAMES = {
    "key": "the key of the request",
    "value": "the value of the request",
    "expected": "the value that a compare-and-set expects",
}
REQUEST_FIELDS: dict[str, tuple[str, ...]] = {  # what is given to each request that is a verb of scenarios
    "put": ("key", "value"),
    "get": ("key",),
    "delete": ("key",),
    "cas": ("key", "expected", "value"),
    "promote": (),
}
REQUEST_FORMS = {  # `{value.json}`: how a field of the request is written
    "raw": "as it is",
    "json": "as a JSON string, in its quotes",
    "url": "percent-encoded",
    "base64": "in base64",
    "bytes": "its length in bytes, as a decimal number",
    **{f"u{bits}": f"its length in bytes, as {bits} bits, big end first" for bits in (8, 16, 32, 64)},
    **{f"u{bits}le": f"its length in bytes, as {bits} bits, little end first" for bits in (16, 32, 64)},
}
RESERVED = (
    frozenset(THIS_NODE)
    | frozenset(REQUEST_NAMES)
    | {"leader", "nodes", "ports", "all", "others", "followers"}
)


def known_names(
    ports: Iterable[str], options: Iterable[str], nodes: Iterable[str] | None = None, leader: bool = True
) -> Known:
    """What templates of a program may name. `nodes` None: any node name. `leader` False: nobody is started as one."""
    extra = {f"ports.{port}" for port in ports}
    per_node = frozenset(EVERY_NODE) | extra
    who = [*["leader"] * leader, *(f"nodes.{node}" for node in ("*" if nodes is None else nodes))]
    of_others = {f"{prefix}.{name}" for prefix in who for name in per_node}
    return Known(frozenset(THIS_NODE) | extra | of_others | frozenset(options), per_node)


def known_in_requests(known: Known) -> Known:
    """The names of a node, and the fields of a request in all their forms; no lists."""
    fields = {f"{name}.{form}" for name in REQUEST_NAMES for form in REQUEST_FORMS}
    return Known(known.names | frozenset(REQUEST_NAMES) | fields)


@dataclass(frozen=True)
class Place:
    """Where one node really is in this run: its address, extra ports and folder."""

    node: NodeSpec
    host: str
    port: int
    data_dir: str
    ports: Mapping[str, int] = field(default_factory=dict)


CLIENT = "client"  # kvsim's own clients, among those who look for a node


@dataclass(frozen=True)
class Views:
    """Where each node is to be reached by whom, where that is not its own address: `seen[who][node]`; `client` is kvsim."""

    seen: Mapping[str, Mapping[str, Place]] = field(default_factory=dict)

    def of(self, who: str, place: Place) -> Place:
        """The node at `place` as `who` is to reach it."""
        return self.seen.get(who, {}).get(place.node.name, place)

    def ports_of(self, name: str) -> tuple[int, ...]:
        """All ports under which others know a node, besides its own."""
        places = [places[name] for places in self.seen.values() if name in places]
        return tuple(port for place in places for port in (place.port, *place.ports.values()))


STRAIGHT = Views()  # everybody at its own address


def names_for(cluster: Cluster, me: Place, seen: Sequence[Place]) -> dict[str, Any]:
    """Template names for the node at `me`. `seen` are all nodes, in order, at the addresses `me` is to reach them by."""
    program = me.node.program
    names: dict[str, Any] = {
        "python": sys.executable,
        "program_dir": str(program.folder),
        "cluster": cluster.name,
        **me.node.options,
        **_of(me),
    }
    for place in seen:
        names.update({f"nodes.{place.node.name}.{name}": value for name, value in _of(place).items()})
    for place in seen:
        if place.node.role is Role.LEADER:
            names.update({f"leader.{name}": value for name, value in _of(place).items()})
            break
    mine = me.node.name
    names["all"] = [_of(me if place.node.name == mine else place) for place in seen]
    names["others"] = [_of(place) for place in seen if place.node.name != mine]
    names["followers"] = [_of(place) for place in seen if place.node.role is Role.FOLLOWER]
    return names


def role_word(program: Program, role: Role) -> str:
    """What `{role}` is for this program."""
    return program.role_words.get(role, role.value)


def _of(place: Place) -> dict[str, str]:
    node = place.node
    return {
        "name": node.name,
        "id": str(node.id),
        "role": role_word(node.program, node.role),
        "host": place.host,
        "port": str(place.port),
        "addr": f"{place.host}:{place.port}",
        "data_dir": place.data_dir,
        **{f"ports.{name}": str(port) for name, port in place.ports.items()},
    }
