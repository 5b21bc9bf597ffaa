"""How slow this machine is just now, against figures that were written down once: starting a process, and computing.

Takes some ten milliseconds. What it finds is a mean and not the best try, because a machine that is busy with others is as slow
as one that is slow by itself.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping

SPAWN_MS, LOOP_MS = 1.0, 1.5  # of a quiet machine on which kvsim's own limits are ample
ROUNDS = 6
LOOPS = 30_000
NOISE = 1.25  # a factor below it says nothing
MOST = 10.0


def measured() -> tuple[float, Mapping[str, float]]:
    """The factor by which this machine is slower than the reference (1 to 10), and the two times it comes from."""
    spawn_ms, loop_ms = _mean_ms(_spawn), _mean_ms(_compute)
    return factor_of(spawn_ms, loop_ms), {"spawn_ms": round(spawn_ms, 2), "loop_ms": round(loop_ms, 2)}


def factor_of(spawn_ms: float, loop_ms: float) -> float:
    """The slower of the two, in tenths; never below 1, and no more than MOST."""
    factor = max(spawn_ms / SPAWN_MS, loop_ms / LOOP_MS)
    return 1.0 if factor < NOISE else round(min(factor, MOST), 1)


def _mean_ms(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    for _ in range(ROUNDS):
        act()
    return (time.perf_counter() - begin) * 1000 / ROUNDS


def _spawn() -> None:
    """Start a program that does nothing, and wait for its end. Where there is none, nothing is measured."""
    with contextlib.suppress(OSError):
        os.waitpid(os.posix_spawnp("true", ["true"], {"PATH": os.environ.get("PATH", os.defpath)}), 0)


def _compute() -> int:
    return sum(number * number for number in range(LOOPS))
