"""Where the nodes of a private cluster are, and what is between them: a builder for each `links`.

Each builder is a context; leaving it removes everything it made. Starts no node. A builder imports
what it alone needs: most runs have direct links.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from kvsim.config.cluster import Cluster
from kvsim.config.names import CLIENT
from kvsim.network.addresses import DIRECT_VIEWS, AddressViews, NodeAddress
from kvsim.process.ports import LOWEST, reserve

if TYPE_CHECKING:
    from kvsim.network.links import Links

Ports = Iterator[int]

# node name -> its data directory
DataDir = Callable[[str], Path]


class Topology(Struct, frozen=True):
    """The addresses of the nodes, in order, and the views of the participants.

    `links`: breaks links, where that is possible. `namespaces`: handles on the nodes' network
    namespaces, where they have their own.
    """

    addresses: Sequence[NodeAddress]
    views: AddressViews = DIRECT_VIEWS
    links: Links | None = None
    namespaces: Mapping[str, int] = field(default_factory=dict)


@contextlib.contextmanager
def direct(
    cluster: Cluster, data_dir: DataDir, seed: str, holding: Collection[str]
) -> Iterator[Topology]:
    """All nodes on this machine, each on its own ports."""
    with reserve(sum(_port_counts(cluster)), cluster.host, apart=True) as reservation:
        yield Topology(_addresses(cluster, data_dir, iter(reservation.ports)))


@contextlib.contextmanager
def proxied(
    cluster: Cluster, data_dir: DataDir, seed: str, holding: Collection[str]
) -> Iterator[Topology]:
    """As `direct`, with a proxy for each directed pair."""
    from kvsim.network.proxy_handle import WorkerProxies, build_routes, ports_needed

    counts = _port_counts(cluster)
    with (
        reserve(sum(counts), cluster.host, apart=True) as own,
        reserve(ports_needed(counts), cluster.host) as of_proxies,
    ):
        addresses = _addresses(cluster, data_dir, iter(own.ports))
        routes, views = build_routes(addresses, of_proxies.ports)
        with WorkerProxies(routes, seed) as links:
            yield Topology(addresses, views, links)


@contextlib.contextmanager
def netns(
    cluster: Cluster, data_dir: DataDir, seed: str, holding: Collection[str]
) -> Iterator[Topology]:
    """Each node in a network namespace with its own address.

    kvsim's clients have one more namespace; this thread is in it meanwhile. Raises NoNetwork where
    namespaces are not available, or not everything that the scenario needs of them.
    """
    from kvsim.network.netns.router_handle import NetworkNamespaces
    from kvsim.process.netns import in_namespace

    names = [node.name for node in cluster.nodes]
    with NetworkNamespaces([CLIENT, *names], seed) as network:
        network.require_delay_queue(holding)
        ports = iter(range(LOWEST, 1 << 16))
        addresses = _addresses(cluster, data_dir, ports, network.addresses)
        namespaces = {name: network.namespaces[name] for name in names}
        with in_namespace(network.namespaces[CLIENT]):
            yield Topology(addresses, links=network, namespaces=namespaces)


# (cluster, data directories, seed, the fault kinds of the run that hold packets) -> the topology
BuildTopology = Callable[
    [Cluster, DataDir, str, Collection[str]], contextlib.AbstractContextManager[Topology]
]

TOPOLOGIES: dict[str, BuildTopology] = {"direct": direct, "proxied": proxied, "netns": netns}


def _port_counts(cluster: Cluster) -> list[int]:
    """How many ports each node has."""
    return [1 + len(node.program.ports) for node in cluster.nodes]


def _addresses(
    cluster: Cluster, data_dir: DataDir, ports: Ports, hosts: Mapping[str, str] | None = None
) -> list[NodeAddress]:
    """The nodes' addresses. No two nodes share a port, so a port identifies its node."""
    return [
        NodeAddress(
            node=node,
            host=hosts[node.name] if hosts else cluster.host,
            port=next(ports),
            data_dir=str(data_dir(node.name).resolve()),
            ports={name: next(ports) for name in node.program.ports},
        )
        for node in cluster.nodes
    ]
