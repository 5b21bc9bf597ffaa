"""Numbers on a command line: each has bounds. For `type=` of argparse.

`int` and `float` take numbers that nothing can carry out: a port of 99999, an infinite time, a seed
that no database holds. The architecture's tests refuse them as argument types.
"""

from __future__ import annotations

import argparse
import re

from msgspec import Struct

DAY_S = 86_400.0


class WholeNumber(Struct, frozen=True):
    """A whole number from `low` to `high`, in decimal digits."""

    low: int
    high: int
    noun: str = "a whole number"

    def __call__(self, text: str) -> int:
        if re.fullmatch(r"[0-9]{1,18}", text) and self.low <= int(text) <= self.high:
            return int(text)
        expected = f"{self.noun} from {self.low} to {self.high}"
        raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}")


class Seconds(Struct, frozen=True):
    """A time in seconds, with or without decimals; never infinite."""

    low: float = 0.001
    high: float = DAY_S

    def __call__(self, text: str) -> float:
        if (
            re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text)
            and self.low <= float(text) <= self.high
        ):
            return float(text)
        expected = f"a number of seconds from {self.low:g} to {self.high:g}"
        raise argparse.ArgumentTypeError(f"expected {expected}, found {text!r}")


# Below the 64 bits of databases and JSON readers, with room for the seeds that follow the first.
SEED = WholeNumber(0, 10**17, "a seed")
JOBS = WholeNumber(1, 1000, "a number of runs")
COUNT = WholeNumber(1, 1_000_000)
PORT = WholeNumber(1, 65535, "a port")
PORT_OR_ANY = WholeNumber(0, 65535, "a port, or 0 for a free one,")
NODES = WholeNumber(1, 99, "a number of nodes")
