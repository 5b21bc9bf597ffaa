"""What `kvsim up` lays between its nodes where links are to be breakable: proxies that stand for as long as the cluster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from kvsim.config.names import Place
from kvsim.errors import KvsimError
from kvsim.faults.links.standing import Starting
from kvsim.launcher.background import Laying, nothing_between
from kvsim.launcher.laid import Laid
from kvsim.process.environment import Mark
from kvsim.process.identity import of
from kvsim.process.ports import reserve
from kvsim.scenario.roads import pave, ports_needed

SOCKET = "links"


def laying(links: str) -> Laying:
    """How the ground of a cluster with these `links` is laid. Namespaces end with the command that made them, so `netns` is direct here."""
    return _proxies if links == "proxied" else nothing_between


@contextlib.contextmanager
def _proxies(run: str, places: Sequence[Place], folder: Path) -> Iterator[Laid]:
    """A process with a proxy for each link, which stays when all goes well inside, and ends when it does not."""
    own = {port for place in places for port in (place.port, *place.ports.values())}
    needed = ports_needed([1 + len(place.ports) for place in places])
    with reserve(needed + len(own), places[0].host) as reservation:
        free = [port for port in reservation.ports if port not in own]
        roads, views = pave(places, free)
        socket = folder.resolve() / SOCKET
        links = Starting(roads, f"{run}:links", socket, Mark(run))
    try:
        carrier = of(links.pid)
        if carrier is None:
            raise KvsimError("the link proxies ended as soon as they had begun")
        yield Laid(views, carrier, socket)
        links.stay()
    except BaseException:
        links.close()
        raise
