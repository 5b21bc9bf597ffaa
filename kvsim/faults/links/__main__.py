"""The process of the link proxies: roads on the first line of standard input, then one order a line, each answered by one line.

Ends when its input does, so it never outlives kvsim. `child.py` is the other side.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import Any

from kvsim.faults.links.pump import Pump, Road
from kvsim.faults.links.rules import WAYS, Rule


class Orders:
    """Reads orders from a file and carries them out on a pump."""

    def __init__(self, fd: int) -> None:
        self._fd, self._got = fd, b""
        self.over = False

    def lines(self) -> list[Any]:
        """The orders that have arrived whole; sets `over` at the end."""
        data = os.read(self._fd, 1 << 20)
        self.over = not data
        *whole, self._got = (self._got + data).split(b"\n")
        return [json.loads(line) for line in whole]

    def obey(self, pump: Pump) -> None:
        for order in self.lines():
            say(DO[order["do"]](pump, order))


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


def say(words: Any) -> None:
    print(json.dumps(words), flush=True)


def main() -> int:
    orders = Orders(sys.stdin.fileno())
    plans: list[Any] = []
    while not plans and not orders.over:
        plans = orders.lines()
    if orders.over:
        return 0
    (plan,) = plans
    roads = [Road(link, tuple(listen), tuple(target)) for link, listen, target in plan["roads"]]
    pump = Pump(roads, plan["seed"])
    say("ready")
    pump.watch(sys.stdin.fileno(), lambda: orders.obey(pump))
    while not orders.over:
        pump.turn()
    pump.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
