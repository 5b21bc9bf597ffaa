"""Which node is meant by an address that a node named: `host:port`, a bare port, a URL, an id or a name. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

PORT = re.compile(r"(?:^|[:/\[\]\s])(\d{1,5})/?$")


@dataclass(frozen=True)
class Address:
    """How a node may be named by others: any of its ports (its own and those of link proxies before it), or its id."""

    id: int
    ports: Collection[int]


def node_at(named: str | None, nodes: Mapping[str, Address]) -> str | None:
    """The node whose name, port or id `named` ends in. None when no node has it."""
    if not named:
        return None
    word = named.strip()
    if word in nodes:
        return word
    match = PORT.search(word)
    return _by_number(int(match[1]), nodes) if match else None


def _by_number(number: int, nodes: Mapping[str, Address]) -> str | None:
    by_port = next((name for name, address in nodes.items() if number in address.ports), None)
    return by_port or next((name for name, address in nodes.items() if number == address.id), None)
