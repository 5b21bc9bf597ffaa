"""Find the node that an address means: `host:port`, a bare port, a URL, an id or a node's name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from msgspec import Struct

from kvsim.ip_addresses import leads_to, split_address

NUMBER = re.compile(r"[0-9]{1,5}")


class NodeIdentifiers(Struct, frozen=True):
    """What other nodes may call a node, besides its name.

    `ports` are its own and those of the link proxies before it; `hosts` are the hosts at which it
    is reached, by address or name. Without any, hosts are not compared.
    """

    id: int
    ports: Collection[int]
    hosts: Collection[str] = ()


def node_at(address: str | None, nodes: Mapping[str, NodeIdentifiers]) -> str | None:
    """The node that the last word of `address` names. None when no node has that address.

    A bare number is a port or an id; with a colon before it, it is a port only.
    """
    if not address or not address.split():
        return None
    word = address.split()[-1].rstrip("/")
    if word in nodes:
        return word
    if NUMBER.fullmatch(word):
        return _by_number(int(word), nodes)
    host, port = split_address(word)
    return next(
        (
            name
            for name, known in nodes.items()
            if port in known.ports and _is_at(name, known, host)
        ),
        None,
    )


def _is_at(name: str, known: NodeIdentifiers, host: str) -> bool:
    return not (host and known.hosts) or host == name or leads_to(host, known.hosts)


def _by_number(number: int, nodes: Mapping[str, NodeIdentifiers]) -> str | None:
    by_port = next((name for name, known in nodes.items() if number in known.ports), None)
    return by_port or next((name for name, known in nodes.items() if number == known.id), None)
