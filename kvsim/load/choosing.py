"""What a client does next: verbs by weight, keys by a Zipf law, both from a seed; and what a compare-and-set expects. Pure.

Drawn in blocks from tables, because a load asks for it before every operation.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

SLOTS = 4096
BLOCK = 1024


def slots(weights: Sequence[float], size: int = SLOTS) -> list[int]:
    """A table in which index i stands about as often as its weight says; each index with a weight stands there at least once."""
    total = sum(weights)
    if total <= 0:
        raise ValueError("no weight is above zero")
    counts = [max(1, round(weight * size / total)) if weight > 0 else 0 for weight in weights]
    return [index for index, count in enumerate(counts) for _ in range(count)]


def zipf(count: int, skew: float) -> list[float]:
    """The weight of each of `count` keys: 1 / rank ** skew; 0 is uniform."""
    return [1.0 / rank**skew for rank in range(1, count + 1)]


class Chooser:
    """Draws (verb, key number) pairs."""

    def __init__(self, mix: Mapping[str, int], keys: int, skew: float, seed: str) -> None:
        self._random = random.Random(seed).random
        self._verbs = [list(mix)[index] for index in slots(list(mix.values()))]
        self._ends = list(accumulate(zipf(keys, skew))) if skew else []
        self._keys = keys
        self.next = self._draws().__next__

    def _draws(self) -> Iterator[tuple[str, int]]:
        draw, verbs, size = self._random, self._verbs, len(self._verbs)
        while True:
            block = [verbs[int(draw() * size)] for _ in range(BLOCK)]
            yield from zip(block, self._keys_drawn(), strict=True)

    def _keys_drawn(self) -> list[int]:
        draw, keys, ends = self._random, self._keys, self._ends
        if not ends:
            return [int(draw() * keys) for _ in range(BLOCK)]
        return [min(bisect(ends, draw() * ends[-1]), keys - 1) for _ in range(BLOCK)]


@dataclass(eq=False, slots=True)
class LastSeen:
    """The value that one client saw last, and of which key: what its next compare-and-set expects, so that many of them match."""

    key: int = 0
    value: str | None = None

    def note(self, key: int, value: str | None) -> None:
        """A key was seen to hold a value; None: it does not hold what it held, or nobody knows."""
        if value is not None:
            self.key, self.value = key, value
        elif key == self.key:
            self.value = None

    def meant(self, verb: str, key: int) -> tuple[str, int, str | None]:
        """(verb, key, expected value) of what was drawn: a cas goes where a value was seen, and is a get while none was."""
        if verb != "cas":
            return verb, key, None
        return ("get", key, None) if self.value is None else (verb, self.key, self.value)
