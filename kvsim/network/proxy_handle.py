"""The link proxies from the side of the commands that use them. Carries no byte.

A run's proxies end with kvsim (`proxy_worker`). Those of a cluster that is up are a daemon
(`proxy_daemon`): one command starts it, later commands connect to it. There is a route for each
directed pair of participants and each port.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from kvsim.config.names import CLIENT
from kvsim.errors import RunInvalid, UsageError
from kvsim.network.addresses import AddressViews, NodeAddress
from kvsim.network.links import Direction, Flow, Links, link_name
from kvsim.network.proxy import Route
from kvsim.network.rules import DOWNSTREAM, UPSTREAM
from kvsim.process.environment import ProcessTag
from kvsim.process.worker import (
    DaemonClient,
    WorkerProcess,
    WorkerUnavailable,
    close_on_error,
)


class LinkProxies(Links):
    """A process with a proxy for each link."""

    description = "the link proxies"

    def directions(self, source: str, target: str) -> list[Direction]:
        """Upstream on the link to the target, and downstream on the link from it."""
        directions = [
            (link_name(source, target), UPSTREAM),
            (link_name(target, source), DOWNSTREAM),
        ]
        return [direction for direction in directions if direction[0] in self.links]

    def unreachable(self, flows: Collection[Flow]) -> list[str]:
        """None: a proxy without a rule holds nothing."""
        return []

    def _start(self, routes: Sequence[Route], seed: str) -> None:
        """Send the first request and wait until every route is open. Raises RunInvalid."""
        rows = [[route.link, list(route.listen), list(route.target)] for route in routes]
        with close_on_error(self):
            self._ask({"routes": rows, "seed": seed})


class WorkerProxies(LinkProxies):
    """Proxies that end with kvsim."""

    def __init__(self, routes: Sequence[Route], seed: str) -> None:
        """Start them. Raises RunInvalid."""
        process = WorkerProcess("kvsim.network.proxy_worker")
        super().__init__(process, (route.link for route in routes))
        self._start(routes, seed)


class NewProxyDaemon(LinkProxies):
    """A proxy daemon that this command starts. Unless detached, it ends with the command."""

    def __init__(self, routes: Sequence[Route], seed: str, path: Path, tag: ProcessTag) -> None:
        """Start it, with its control socket at `path`. Raises RunInvalid."""
        # An earlier daemon that was killed leaves its socket.
        path.unlink(missing_ok=True)
        self._worker = WorkerProcess("kvsim.network.proxy_daemon", [str(path)], tag.variables())
        super().__init__(self._worker, (route.link for route in routes))
        self._start(routes, seed)

    def detach(self) -> None:
        """Let it outlive this command."""
        self._worker.send(b'"stay"\n')
        self._worker.detach()


class ProxyDaemonClient(LinkProxies):
    """A connection to the proxy daemon of a cluster that is up. Closing it leaves the daemon."""

    def __init__(self, path: Path) -> None:
        """`path`: its control socket. Raises UsageError when it is gone, RunInvalid when silent."""
        try:
            client = DaemonClient(path)
        except WorkerUnavailable as error:
            raise UsageError(
                f"the link proxies of this cluster are gone: {error}; kvsim down, then kvsim up"
            ) from None
        super().__init__(client, ())
        with close_on_error(self):
            links = self._ask({"do": "links"})
            if not isinstance(links, list):
                raise RunInvalid(f"{self.description} sent a reply that is no list: {links!r}")
            self.links = frozenset(map(str, links))


@contextlib.contextmanager
def connect_daemon(path: Path) -> Iterator[ProxyDaemonClient]:
    """The proxy daemon whose control socket is at `path`. Raises UsageError, RunInvalid."""
    links = ProxyDaemonClient(path)
    try:
        yield links
    finally:
        links.close()


# --- routes, and the address views that fit them --------------------------------------------------


def ports_needed(port_counts: Sequence[int]) -> int:
    """How many ports the proxies of a cluster listen on. `port_counts`: how many each node has.

    Every other node and the client have their own proxy for each port of a node.
    """
    return len(port_counts) * sum(port_counts)


def build_routes(
    addresses: Sequence[NodeAddress], free_ports: Sequence[int]
) -> tuple[list[Route], AddressViews]:
    """Routes and views for these nodes. The free ports are used in order."""
    ports = iter(free_ports)
    routes: list[Route] = []
    views: dict[str, dict[str, NodeAddress]] = {}
    for source in (CLIENT, *(address.node.name for address in addresses)):
        for address in addresses:
            if address.node.name != source:
                view = _view(address, ports)
                views.setdefault(source, {})[address.node.name] = view
                routes += _routes(link_name(source, address.node.name), address, view)
    return routes, AddressViews(views)


def _view(address: NodeAddress, ports: Iterator[int]) -> NodeAddress:
    return replace(address, port=next(ports), ports={name: next(ports) for name in address.ports})


def _routes(link: str, address: NodeAddress, view: NodeAddress) -> list[Route]:
    pairs = [
        (view.port, address.port),
        *((view.ports[extra], address.ports[extra]) for extra in address.ports),
    ]
    return [Route(link, (address.host, near), (address.host, far)) for near, far in pairs]
