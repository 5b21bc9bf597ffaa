"""The addresses of hosts when each node has its own network namespace.

They are of the block for benchmarks of devices (RFC 2544), which no real network uses. They exist
only inside the namespaces of one run, so that any number of runs can use the same addresses.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address
from itertools import permutations

from msgspec import Struct

BLOCK = IPv4Address("198.18.0.0")

# The router's end of every veth pair.
ROUTER_ADDRESS = str(BLOCK + 1)

FIRST_HOST = 2


class Host(Struct, frozen=True):
    """One host: `number` names its interface and, in pairs, the chains of its links."""

    name: str
    number: int

    @property
    def address(self) -> str:
        return str(BLOCK + FIRST_HOST + self.number)

    @property
    def interface(self) -> str:
        """The router's end of its veth pair."""
        return f"veth{self.number}"


def hosts(names: Sequence[str]) -> list[Host]:
    """A host for each name, in order."""
    return [Host(name, number) for number, name in enumerate(names)]


def host_pairs(all_hosts: Sequence[Host]) -> list[tuple[Host, Host]]:
    """Every directed pair."""
    return list(permutations(all_hosts, 2))
