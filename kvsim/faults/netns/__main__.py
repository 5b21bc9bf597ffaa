"""The process of the hub: the hosts on the first line of standard input, then one order a line, each answered by one line.

Ends when its input does, so it never outlives kvsim; the kernel then removes the namespaces, the cables and every rule with them,
as soon as the last process in them has ended. `child.py` is the other side.
"""

from __future__ import annotations

import select
import sys
from dataclasses import asdict
from typing import Any

from kvsim.faults.links.orders import Orders, say
from kvsim.faults.links.rules import Rule
from kvsim.faults.netns.cables import CannotBuild
from kvsim.faults.netns.holder import packets
from kvsim.faults.netns.hub import Hub

Order = dict[str, Any]


def _set(hub: Hub, order: Order) -> Any:
    hub.set({hub.pair(link): Rule(**rule) for link, _, rule in order["rules"]})
    return "set"


def _seen(hub: Hub, order: Order) -> Any:
    seen = hub.seen(map(hub.pair, order["links"]))
    return {link: {"up": asdict(seen[hub.pair(link)])} for link in order["links"]}


def _rules(hub: Hub, order: Order) -> Any:
    rules = hub.rules(map(hub.pair, order["links"]))
    return {link: {"up": rules[hub.pair(link)].to_json()} for link in order["links"]}


def _unreached(hub: Hub, order: Order) -> Any:
    lost = hub.unreached(map(hub.pair, order["links"]))
    return [link for link in order["links"] if hub.pair(link) in lost]


DO = {"set": _set, "seen": _seen, "rules": _rules, "unreached": _unreached}


def _obey(hub: Hub, order: Order) -> Any:
    try:
        return DO[order["do"]](hub, order)
    except CannotBuild as error:
        return {"failed": str(error)}


def main() -> int:
    orders = Orders(sys.stdin.fileno())
    plan = orders.first()
    if plan is None:
        return 0
    try:
        hub = Hub(plan["hosts"], plan["seed"])
    except CannotBuild as error:
        say(plan, {"failed": str(error)})
        return 1
    addresses = {name: host.address for name, host in hub.hosts.items()}
    say(plan, {"nets": hub.nets, "addresses": addresses, "cannot_hold": hub.cannot_hold})
    _serve(orders, hub)
    hub.close()
    return 0


def _serve(orders: Orders, hub: Hub) -> None:
    words, device = sys.stdin.fileno(), hub.device
    files = [words] if hub.holder is None else [words, device]
    due_s = None
    while not orders.over:
        ready, _, _ = select.select(files, [], [], due_s)  # poll would round up to milliseconds
        if hub.holder is not None:
            for packet in packets(device) if device in ready else ():
                hub.holder.take(packet)
            due_s = hub.holder.send_due()
        for order in orders.lines() if words in ready else ():
            say(order, _obey(hub, order))


if __name__ == "__main__":
    sys.exit(main())
