"""What a process of link proxies does with each order: one row a word, in one table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from kvsim.faults.links.pump import Pump, Road
from kvsim.faults.links.rules import WAYS, Rule


def pump_of(plan: dict[str, Any]) -> Pump:
    """The proxies of the first order, all of them listening."""
    roads = [Road(link, tuple(listen), tuple(target)) for link, listen, target in plan["roads"]]
    return Pump(roads, plan["seed"])


def _set(pump: Pump, order: dict[str, Any]) -> Any:
    for link in {link for link, _, _ in order["rules"]} if order["anew"] else ():
        pump.forget(link)
    for link, way, rule in order["rules"]:
        pump.rule(link, way, Rule(**rule))
    return "set"


def _seen(pump: Pump, order: dict[str, Any]) -> Any:
    return {link: {way: asdict(pump.links[link].seen[way]) for way in WAYS} for link in order["links"]}


def _rules(pump: Pump, order: dict[str, Any]) -> Any:
    return {link: {way: pump.links[link].rules[way].to_json() for way in WAYS} for link in order["links"]}


def _links(pump: Pump, order: dict[str, Any]) -> Any:
    return list(pump.links)


DO: dict[str, Callable[[Pump, dict[str, Any]], Any]] = {
    "set": _set,
    "seen": _seen,
    "rules": _rules,
    "links": _links,
}
