"""The process of the link proxies: roads on the first line of standard input, then one order a line, each answered by one line.

Ends when its input does, so it never outlives kvsim. `child.py` is the other side.
"""

from __future__ import annotations

import sys

from kvsim.faults.links.carried import DO, pump_of
from kvsim.faults.links.orders import Orders, say
from kvsim.faults.links.pump import Pump


def _obey(orders: Orders, pump: Pump) -> None:
    for order in orders.lines():
        say(order, DO[order["do"]](pump, order))


def main() -> int:
    orders = Orders(sys.stdin.fileno())
    plan = orders.first()
    if plan is None:
        return 0
    pump = pump_of(plan)
    say(plan, "ready")
    pump.watch(sys.stdin.fileno(), lambda: _obey(orders, pump))
    while not orders.over:
        pump.turn()
    pump.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
