"""Who reaches whom how, when links are proxied: a road for each directed pair and port, and the views that go with them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from kvsim.config.names import CLIENT, Place, Views
from kvsim.faults.links.process import link
from kvsim.faults.links.pump import Road


def ports_needed(places: Sequence[int]) -> int:
    """How many ports the proxies of a cluster listen on; `places` holds each node's number of ports."""
    return sum(len(places) * ports for ports in places)  # every other node, and the client


def pave(places: Sequence[Place], free: Sequence[int]) -> tuple[list[Road], Views]:
    """Roads and views for these nodes, from free ports that are used up in order."""
    ports, roads = iter(free), []
    seen: dict[str, dict[str, Place]] = {}
    for source in (CLIENT, *(place.node.name for place in places)):
        for place in places:
            if place.node.name != source:
                view = _view(place, ports)
                seen.setdefault(source, {})[place.node.name] = view
                roads += _roads(link(source, place.node.name), place, view)
    return roads, Views(seen)


def _view(place: Place, ports: Iterator[int]) -> Place:
    return replace(place, port=next(ports), ports={name: next(ports) for name in place.ports})


def _roads(name: str, place: Place, view: Place) -> list[Road]:
    pairs = [(view.port, place.port), *((view.ports[extra], place.ports[extra]) for extra in place.ports)]
    return [Road(name, (place.host, near), (place.host, far)) for near, far in pairs]
