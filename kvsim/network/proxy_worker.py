"""The process of the link proxies, and what a link process does with each request.

It reads routes from the first line of standard input, then a request on each line, and answers each
with one line. It ends when its input ends, so it never outlives kvsim. The other side is
`proxy_handle`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from kvsim.network.proxy import Proxy, Route
from kvsim.network.rules import DIRECTIONS, LinkRule
from kvsim.process.worker import WorkerRequests, send_reply
from kvsim.structs import to_dict


def start_proxy(request: dict[str, Any]) -> Proxy:
    """The proxies of the first request. All of them listen. Raises OSError."""
    routes = [
        Route(link, tuple(listen), tuple(target)) for link, listen, target in request["routes"]
    ]
    return Proxy(routes, request["seed"])


def _set_rules(proxy: Proxy, request: dict[str, Any]) -> str:
    if request["reset_stats"]:
        for link in {link for link, _, _ in request["rules"]}:
            proxy.reset_stats(link)
    for link, direction, rule in request["rules"]:
        proxy.set_rule(link, direction, LinkRule(**rule))
    return "set"


def _stats(proxy: Proxy, request: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        link: {direction: to_dict(proxy.links[link].stats[direction]) for direction in DIRECTIONS}
        for link in request["links"]
    }


def _rules(proxy: Proxy, request: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        link: {direction: proxy.links[link].rules[direction].to_json() for direction in DIRECTIONS}
        for link in request["links"]
    }


def _links(proxy: Proxy, request: dict[str, Any]) -> list[str]:
    return list(proxy.links)


ACTIONS: dict[str, Callable[[Proxy, dict[str, Any]], Any]] = {
    "set_rules": _set_rules,
    "stats": _stats,
    "rules": _rules,
    "links": _links,
}


def _serve(requests: WorkerRequests, proxy: Proxy) -> None:
    for request in requests.read():
        send_reply(request, ACTIONS[request["do"]](proxy, request))


def main() -> int:
    requests = WorkerRequests(sys.stdin.fileno())
    first = requests.first()
    if first is None:
        return 0
    proxy = start_proxy(first)
    send_reply(first, "ready")
    proxy.watch(sys.stdin.fileno(), lambda: _serve(requests, proxy))
    while not requests.closed:
        proxy.run_once()
    proxy.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
