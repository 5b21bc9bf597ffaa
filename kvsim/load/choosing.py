"""What a client does next: verbs by weight, keys by a Zipf law, both from a seed. Pure; tables instead of arithmetic per operation."""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Mapping, Sequence
from itertools import accumulate

SLOTS = 4096


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

    def next(self) -> tuple[str, int]:
        verb = self._verbs[int(self._random() * len(self._verbs))]
        if not self._ends:
            return verb, int(self._random() * self._keys)
        return verb, min(bisect(self._ends, self._random() * self._ends[-1]), self._keys - 1)
