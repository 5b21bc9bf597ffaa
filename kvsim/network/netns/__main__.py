"""The router's process: hosts on the first line of standard input, then a request on each line.

Each request is answered by one line. The process ends when its input ends, so it never outlives
kvsim. The kernel removes the namespaces, their veth pairs and every rule when the last process in
them has ended. The other side is `router_handle`.
"""

from __future__ import annotations

import select
import sys
from collections.abc import Callable
from typing import Any

from kvsim.network.netns.delay_queue import read_packets
from kvsim.network.netns.router import Router
from kvsim.network.netns.veth import CannotBuild
from kvsim.network.rules import UPSTREAM, LinkRule
from kvsim.process.worker import WorkerRequests, send_reply
from kvsim.structs import to_dict

Request = dict[str, Any]


def _set_rules(router: Router, request: Request) -> str:
    router.set_rules({router.pair(link): LinkRule(**rule) for link, _, rule in request["rules"]})
    return "set"


def _stats(router: Router, request: Request) -> dict[str, Any]:
    stats = router.stats(map(router.pair, request["links"]))
    return {link: {UPSTREAM: to_dict(stats[router.pair(link)])} for link in request["links"]}


def _rules(router: Router, request: Request) -> dict[str, Any]:
    rules = router.rules(map(router.pair, request["links"]))
    return {link: {UPSTREAM: rules[router.pair(link)].to_json()} for link in request["links"]}


def _unreachable(router: Router, request: Request) -> list[str]:
    unreachable = router.unreachable(map(router.pair, request["links"]))
    return [link for link in request["links"] if router.pair(link) in unreachable]


ACTIONS: dict[str, Callable[[Router, Request], Any]] = {
    "set_rules": _set_rules,
    "stats": _stats,
    "rules": _rules,
    "unreachable": _unreachable,
}


def _reply_to(router: Router, request: Request) -> Any:
    try:
        return ACTIONS[request["do"]](router, request)
    except CannotBuild as error:
        return {"failed": str(error)}


def main() -> int:
    requests = WorkerRequests(sys.stdin.fileno())
    first = requests.first()
    if first is None:
        return 0
    try:
        router = Router(first["hosts"], first["seed"])
    except CannotBuild as error:
        send_reply(first, {"failed": str(error)})
        return 1
    reply = {
        "namespaces": router.namespaces,
        "addresses": {name: host.address for name, host in router.hosts.items()},
        "cannot_delay": router.cannot_delay,
    }
    send_reply(first, reply)
    _serve(requests, router)
    router.close()
    return 0


def _serve(requests: WorkerRequests, router: Router) -> None:
    stdin, device = sys.stdin.fileno(), router.device
    files = [stdin] if router.delay_queue is None else [stdin, device]
    due_s = None
    while not requests.closed:
        # `poll` would round the time up to milliseconds.
        ready, _, _ = select.select(files, [], [], due_s)
        if router.delay_queue is not None:
            for packet in read_packets(device) if device in ready else ():
                router.delay_queue.receive(packet)
            due_s = router.delay_queue.send_due()
        for request in requests.read() if stdin in ready else ():
            send_reply(request, _reply_to(router, request))


if __name__ == "__main__":
    sys.exit(main())
