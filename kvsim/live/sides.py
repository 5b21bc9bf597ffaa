"""The sides of a partition out of the words of a command: `n1 / n2 n3`, `leader`, `minority / majority`. Starts and breaks nothing."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from kvsim.config.names import CLIENT
from kvsim.errors import UsageError

BETWEEN = re.compile(r"[/|]")
Side = tuple[str, ...]


def split(words: Sequence[str]) -> list[list[str]]:
    """The words of each side; a bar between sides has to be quoted in a shell, so a slash does as well."""
    return [side.replace(",", " ").split() for side in BETWEEN.split(" ".join(words))]


def sides(words: Sequence[str], nodes: Sequence[str], meant: Callable[[Sequence[str]], Side]) -> list[Side]:
    """The nodes on each side; of one side alone, all others are the other. `client` is kvsim's own clients. Raises UsageError."""
    parts = split(words)
    if not all(parts):
        raise UsageError("a side is empty: kvsim partition n1 / n2 n3")
    found: list[Side] = [(CLIENT,) if part == [CLIENT] else meant(part) for part in parts]
    if len(found) == 1:
        found.append(tuple(node for node in nodes if node not in found[0]))
    twice = [node for node in (CLIENT, *nodes) if sum(node in side for side in found) > 1]
    if twice:
        raise UsageError(f"{', '.join(twice)} cannot be on two sides")
    if not all(found):
        raise UsageError(f"{', '.join(found[0])} is everybody: nobody is left for the other side")
    return found


def flows(found: Sequence[Side]) -> tuple[tuple[str, str], ...]:
    """(from, to) of all that is sent from one side to another."""
    return tuple(
        (one, other)
        for here in found
        for there in found
        if here is not there
        for one in here
        for other in there
    )
