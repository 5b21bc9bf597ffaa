"""What a client does next: verbs by weight, keys by a Zipf distribution, both from a seed.

Also which value a compare-and-set expects. Operations are generated in blocks from tables, because
a load needs one before every request.
"""

from __future__ import annotations

import random
from bisect import bisect
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate

from msgspec import Struct

TABLE_SIZE = 4096
BLOCK_SIZE = 1024


def weighted_table(weights: Sequence[float], size: int = TABLE_SIZE) -> list[int]:
    """A table of about `size` entries that holds index i in proportion to `weights[i]`.

    An index with a weight above zero is there at least once. Raises ValueError when no weight is
    above zero.
    """
    total = sum(weights)
    if total <= 0:
        raise ValueError("no weight is above zero")
    counts = [max(1, round(weight * size / total)) if weight > 0 else 0 for weight in weights]
    return [index for index, count in enumerate(counts) for _ in range(count)]


def zipf_weights(count: int, skew: float) -> list[float]:
    """The weight of each of `count` keys: 1 / rank ** skew; with skew 0 all are equal."""
    return [1.0 / rank**skew for rank in range(1, count + 1)]


class OperationGenerator:
    """Generates (verb, key number) pairs; `next` returns the next one."""

    def __init__(self, mix: Mapping[str, int], keys: int, skew: float, seed: str) -> None:
        self._random = random.Random(seed).random
        self._verbs = [list(mix)[index] for index in weighted_table(list(mix.values()))]
        self._cumulative = list(accumulate(zipf_weights(keys, skew))) if skew else []
        self._keys = keys
        self.next = self._operations().__next__

    def _operations(self) -> Iterator[tuple[str, int]]:
        draw, verbs, size = self._random, self._verbs, len(self._verbs)
        while True:
            block = [verbs[int(draw() * size)] for _ in range(BLOCK_SIZE)]
            yield from zip(block, self._block_of_keys(), strict=True)

    def _block_of_keys(self) -> list[int]:
        draw, keys, cumulative = self._random, self._keys, self._cumulative
        if not cumulative:
            return [int(draw() * keys) for _ in range(BLOCK_SIZE)]
        total = cumulative[-1]
        return [min(bisect(cumulative, draw() * total), keys - 1) for _ in range(BLOCK_SIZE)]


class LastObserved(Struct, eq=False):
    """The value that one client observed last, and its key.

    The client's next compare-and-set expects this value, so that many of them match.
    """

    key: int = 0
    value: str | None = None

    def observe(self, key: int, value: str | None) -> None:
        """`key` holds `value`. None: it no longer holds the last value, or that is not known."""
        if value is not None:
            self.key, self.value = key, value
        elif key == self.key:
            self.value = None

    def with_expected(self, verb: str, key: int) -> tuple[str, int, str | None]:
        """(verb, key, expected value) of a generated operation.

        A cas goes to the key whose value was observed; it becomes a get while there is no value.
        """
        if verb != "cas":
            return verb, key, None
        return ("get", key, None) if self.value is None else (verb, self.key, self.value)
