"""Who has which address when every node has a network namespace of its own: pure.

The addresses are of the block that is set aside for measuring devices (RFC 2544), which no real network uses; they exist inside
namespaces of a run only, so that any number of runs can use the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import permutations

BLOCK = IPv4Address("198.18.0.0")
HUB = str(BLOCK + 1)  # the router's end of every cable
FIRST = 2


@dataclass(frozen=True)
class Host:
    """One machine: `number` names its cable and, by twos, the chains of its links."""

    name: str
    number: int

    @property
    def address(self) -> str:
        return str(BLOCK + FIRST + self.number)

    @property
    def cable(self) -> str:
        """Its cable's end in the hub."""
        return f"cable{self.number}"


def hosts(names: Sequence[str]) -> list[Host]:
    """A host for each name, in order."""
    return [Host(name, number) for number, name in enumerate(names)]


def pairs(everybody: Sequence[Host]) -> list[tuple[Host, Host]]:
    """Every directed pair."""
    return list(permutations(everybody, 2))
