"""The process of the link proxies: roads on the first line of standard input, then one order a line, each answered by one line.

Ends when its input does, so it never outlives kvsim. `child.py` is the other side.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from kvsim.faults.links.orders import Orders, say
from kvsim.faults.links.pump import Pump, Road
from kvsim.faults.links.rules import WAYS, Rule


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


DO = {"set": _set, "seen": _seen, "rules": _rules}


def _obey(orders: Orders, pump: Pump) -> None:
    for order in orders.lines():
        say(order, DO[order["do"]](pump, order))


def main() -> int:
    orders = Orders(sys.stdin.fileno())
    plan = orders.first()
    if plan is None:
        return 0
    roads = [Road(link, tuple(listen), tuple(target)) for link, listen, target in plan["roads"]]
    pump = Pump(roads, plan["seed"])
    say(plan, "ready")
    pump.watch(sys.stdin.fileno(), lambda: _obey(orders, pump))
    while not orders.over:
        pump.turn()
    pump.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
