"""What is wrong with a disk, as a value, and what that is on the page of the preloaded library. Pure."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

HOW = {"full": 1, "failing": 2, "slow": 3}  # as in preload/library/control.h
CALLS = {"write": 1, "sync": 2}
CERTAIN = 1 << 32  # of `chance`
SLOW_S = 0.05  # where nobody says how slow
SEED_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Rule:
    """`calls` are those that a failing disk fails; `percent` how many of them, drawn from `seed`. `delay_s`: of a slow one."""

    how: str
    calls: tuple[str, ...] = tuple(CALLS)
    percent: int = 100
    delay_s: float = 0.0
    seed: int = 0

    @property
    def error(self) -> int:
        """The errno of calls that are refused."""
        return errno.ENOSPC if self.how == "full" else errno.EIO

    @property
    def may_end_nodes(self) -> bool:
        """A node may stop when it cannot store what it is told; it may not when it only has to wait."""
        return self.how != "slow"

    def settings(self) -> Mapping[str, Any]:
        """What there is to be said of it, in the scenario's words."""
        if self.how == "failing":
            return {"how": self.how, "calls": list(self.calls), "percent": self.percent}
        return {"how": self.how, "by_s": self.delay_s} if self.how == "slow" else {"how": self.how}

    def page(self) -> dict[str, int]:
        """The fields of the page."""
        return {
            "how": HOW[self.how],
            "calls": sum(CALLS[call] for call in self.calls),
            "chance": CERTAIN * self.percent // 100,
            "error": self.error,
            "delay_ns": round(self.delay_s * 1e9),
            "seed": self.seed & SEED_MASK,
        }
