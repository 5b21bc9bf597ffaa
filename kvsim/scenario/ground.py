"""Where the nodes of a private cluster stand, and what is between them: one way a word of the cluster file's `links`.

Each is a context; leaving it removes whatever it laid. Starts no node.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kvsim.config.cluster import Cluster
from kvsim.config.lint import every_step, fault_kinds
from kvsim.config.names import CLIENT, STRAIGHT, Place, Views
from kvsim.faults.links.child import LinkProxies
from kvsim.faults.links.process import Links
from kvsim.faults.netns.child import Network
from kvsim.process.netns import inside
from kvsim.process.ports import LOWEST, reserve
from kvsim.scenario.job import Job
from kvsim.scenario.roads import pave, ports_needed
from kvsim.scenario.weather import weights_of

Ports = Iterator[int]


@dataclass(frozen=True)
class Ground:
    """The places of the nodes, in order, and how each is to be reached by whom. `links` is what can break links, where something can.

    `nets` are handles on the nodes' network namespaces, where they have their own.
    """

    places: Sequence[Place]
    views: Views = STRAIGHT
    links: Links | None = None
    nets: Mapping[str, int] = field(default_factory=dict)


@contextlib.contextmanager
def direct(job: Job) -> Iterator[Ground]:
    """Everybody on this machine, on ports of their own."""
    cluster = job.cluster
    with reserve(sum(_ports_of(cluster)), cluster.host) as reservation:
        yield Ground(_places(job, iter(reservation.ports)))


@contextlib.contextmanager
def proxied(job: Job) -> Iterator[Ground]:
    """The same, and between each two of them a proxy for each direction."""
    cluster = job.cluster
    needed = sum(_ports_of(cluster)) + ports_needed(_ports_of(cluster))
    with reserve(needed, cluster.host) as reservation:
        ports = iter(reservation.ports)
        places = _places(job, ports)
        roads, views = pave(places, list(ports))
        with LinkProxies(roads, f"{job.seed}:links") as links:
            yield Ground(places, views, links)


@contextlib.contextmanager
def netns(job: Job) -> Iterator[Ground]:
    """Each node in a network namespace with an address of its own, and kvsim's clients in one more, where this thread is meanwhile.

    Raises NoNetwork where that cannot be had, or not all that the scenario needs of it.
    """
    names = [node.name for node in job.cluster.nodes]
    with Network([CLIENT, *names], f"{job.seed}:links") as network:
        network.must_carry(_kinds(job))
        places = _places(job, iter(range(LOWEST, 1 << 16)), network.addresses)
        with inside(network.nets[CLIENT]):
            yield Ground(places, links=network, nets={name: network.nets[name] for name in names})


GROUNDS: dict[str, Callable[[Job], contextlib.AbstractContextManager[Ground]]] = {
    "direct": direct,
    "proxied": proxied,
    "netns": netns,
}


def _kinds(job: Job) -> set[str]:
    """The kinds of fault that the scenario makes, or that its storms may draw."""
    steps = list(every_step(job.scenario.steps))
    storms = [weights_of(step.fields.get("faults"), job.cluster) for step in steps if step.verb == "storm"]
    return {kind for step in steps for kind in fault_kinds(step)}.union(*storms)


def _ports_of(cluster: Cluster) -> list[int]:
    """How many ports each node has."""
    return [1 + len(node.program.ports) for node in cluster.nodes]


def _places(job: Job, ports: Ports, addresses: Mapping[str, str] | None = None) -> list[Place]:
    """Where the nodes are, on ports that are used up in order; no two nodes share one, so that a port names its node."""
    cluster = job.cluster
    return [
        Place(
            node=node,
            host=addresses[node.name] if addresses else cluster.host,
            port=next(ports),
            data_dir=str(job.run.data(node.name).resolve()),
            ports={name: next(ports) for name in node.program.ports},
        )
        for node in cluster.nodes
    ]
