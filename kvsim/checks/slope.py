"""A straight line through samples: how fast something grows, with the interval of that.

Ordinary least squares; the interval holds the slope with 95 % confidence where the samples scatter
around a line like a normal distribution (Draper and Smith, "Applied Regression Analysis"). Pure.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from msgspec import Struct

SAMPLES_MIN = 5
# Student's t for 95 % (two-sided), by degrees of freedom; beyond, that of the next smaller one.
STUDENT = {3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 8: 2.31, 10: 2.23, 15: 2.13, 20: 2.09, 30: 2.04}


class LineSlope(Struct, frozen=True):
    """The slope of a line, and the interval from `low` to `high` that holds it."""

    mean: float
    low: float
    high: float

    @property
    def rises(self) -> bool:
        """Whether the whole interval is above zero."""
        return self.low > 0


def slope_of(x: Sequence[float], y: Sequence[float]) -> LineSlope | None:
    """The slope of y over x; None: there are too few samples, or all at one x."""
    if len(x) < SAMPLES_MIN or min(x) == max(x):
        return None
    line = statistics.linear_regression(x, y)
    errors = (value - line.intercept - line.slope * at for at, value in zip(x, y, strict=True))
    freedom = len(x) - 2
    mean_x = statistics.fmean(x)
    spread = math.fsum((at - mean_x) ** 2 for at in x)
    error = math.sqrt(math.fsum(one * one for one in errors) / freedom / spread)
    wide = error * STUDENT[max(known for known in STUDENT if known <= freedom)]
    return LineSlope(line.slope, line.slope - wide, line.slope + wide)
