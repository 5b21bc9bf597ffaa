"""Where the nodes of a run are, and at which address each participant reaches them.

`names_for` makes the values of a program's templates for one node. It chooses no ports and no
folders: the caller passes them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from kvsim.config.cluster import Cluster, NodeSpec
from kvsim.config.names import role_word
from kvsim.config.program import Program, Role
from kvsim.config.template import GROUPS, names_in, render
from kvsim.ip_addresses import is_loopback
from kvsim.process.sockets import own_hosts


class NodeAddress(Struct, frozen=True):
    """One node of a run: host, client port, extra ports by name, and its data directory."""

    node: NodeSpec
    host: str
    port: int
    data_dir: str
    ports: Mapping[str, int] = field(default_factory=dict)

    @property
    def host_port(self) -> tuple[str, int]:
        return self.host, self.port


class AddressViews(Struct, frozen=True):
    """Addresses at which participants reach nodes, where these are not the nodes' own addresses.

    `addresses`: viewer -> node -> address. The viewer `client` is kvsim's own clients.
    """

    addresses: Mapping[str, Mapping[str, NodeAddress]] = field(default_factory=dict)

    def of(self, viewer: str, address: NodeAddress) -> NodeAddress:
        """The address at which `viewer` reaches the node that listens at `address`."""
        return self.addresses.get(viewer, {}).get(address.node.name, address)

    def ports_of(self, name: str) -> tuple[int, ...]:
        """All ports at which others reach a node, except its own ports."""
        views = [nodes[name] for nodes in self.addresses.values() if name in nodes]
        return tuple(port for view in views for port in (view.port, *view.ports.values()))

    def hosts_of(self, address: NodeAddress) -> tuple[str, ...]:
        """All hosts at which others reach the node that listens at `address`.

        On this machine's loopback, also the machine's other names and addresses: a node that
        listens on the wildcard address is reached at each of them.
        """
        views = [nodes.get(address.node.name, address) for nodes in self.addresses.values()]
        hosts = dict.fromkeys([address.host, *(view.host for view in views)])
        return (*hosts, *(own_hosts() if any(map(is_loopback, hosts)) else ()))


# Every participant reaches every node at the node's own address.
DIRECT_VIEWS = AddressViews()


def names_for(
    cluster: Cluster, own: NodeAddress, addresses: Sequence[NodeAddress]
) -> dict[str, Any]:
    """Values of the template names for the node at `own`.

    `addresses` are all nodes, in order, at the addresses at which this node reaches them.
    """
    program = own.node.program
    values: dict[str, Any] = {
        "python": sys.executable,
        "program_dir": str(program.folder),
        "cluster": cluster.name,
        **own.node.options,
        **_values_of(own),
    }
    for address in addresses:
        values.update(_prefixed(f"nodes.{address.node.name}", address))
    leader = next((address for address in addresses if address.node.role is Role.LEADER), None)
    if leader is not None:
        values.update(_prefixed("leader", leader))
    name = own.node.name
    others = [address for address in addresses if address.node.name != name]
    followers = [address for address in addresses if address.node.role is Role.FOLLOWER]
    values["all"] = [
        _values_of(own if address.node.name == name else address) for address in addresses
    ]
    values["others"] = list(map(_values_of, others))
    values["followers"] = list(map(_values_of, followers))
    return _with_role_words(values, program)


def _with_role_words(values: dict[str, Any], program: Program) -> dict[str, Any]:
    """The names, where words for roles with names in them are filled in, for every node."""
    words = {word: word for word in program.role_words.values() if names_in(word)}
    if not words:
        return values
    rows = [row for group in GROUPS for row in values[group]]
    for row in rows:
        if row["role"] in words:
            row["role"] = render(row["role"], {**values, **row})
    for row in values["all"]:
        values[f"nodes.{row['name']}.role"] = row["role"]
    if "leader.name" in values:
        values["leader.role"] = values[f"nodes.{values['leader.name']}.role"]
    values["role"] = values[f"nodes.{values['name']}.role"]
    return values


def _prefixed(prefix: str, address: NodeAddress) -> dict[str, str]:
    return {f"{prefix}.{name}": value for name, value in _values_of(address).items()}


def _values_of(address: NodeAddress) -> dict[str, str]:
    node = address.node
    return {
        "name": node.name,
        "id": str(node.id),
        "index0": str(node.id - 1),
        "role": role_word(node.program, node.role),
        "host": address.host,
        "port": str(address.port),
        "addr": f"{address.host}:{address.port}",
        "data_dir": address.data_dir,
        **{f"ports.{name}": str(port) for name, port in address.ports.items()},
    }
