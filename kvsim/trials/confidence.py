"""A rate that was observed, and the bounds of the true rate."""

from __future__ import annotations

import math

from msgspec import Struct

# The standard normal's quantile for a two-sided confidence of 95 %.
Z_95 = 1.959963984540054


class Rate(Struct, frozen=True):
    """`count` of `total`."""

    count: int
    total: int

    @property
    def value(self) -> float:
        return self.count / self.total if self.total else 0.0

    @property
    def bounds(self) -> tuple[float, float]:
        """Wilson's score interval: the true rate lies within with 95 % confidence.

        E. B. Wilson, JASA 22, 1927. It holds for few runs, and for rates near 0 and 1.
        """
        if not self.total:
            return 0.0, 1.0
        n, p, zz = self.total, self.value, Z_95 * Z_95
        middle = (p + zz / (2 * n)) / (1 + zz / n)
        half = Z_95 / (1 + zz / n) * math.sqrt(p * (1 - p) / n + zz / (4 * n * n))
        return max(0.0, min(p, middle - half)), min(1.0, max(p, middle + half))

    def __str__(self) -> str:
        low, high = (f"{100 * bound:.1f}%" for bound in self.bounds)
        return f"{100 * self.value:5.1f}%  (95% confidence: between {low} and {high})"

    def to_json(self) -> dict[str, float | int]:
        low, high = self.bounds
        return {"count": self.count, "of": self.total, "rate": self.value, "low": low, "high": high}
