"""How slow this machine is now, against reference times of a quiet machine.

Measures two things: starting a process, and computing. It takes some ten milliseconds. The result
is a mean and not the best try: a machine that is busy with other work is as slow as a machine that
is slow by itself.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping

# Reference times, from a quiet machine on which kvsim's default timeouts are ample.
SPAWN_MS, LOOP_MS = 1.0, 1.5
ROUNDS = 6
LOOPS = 30_000
# A smaller factor cannot be distinguished from noise.
NOISE = 1.25
FACTOR_MAX = 10.0


def measure_slowness() -> tuple[float, Mapping[str, float]]:
    """How many times slower this machine is than the reference (1 to 10), and the two times."""
    spawn_ms, loop_ms = _mean_ms(_spawn), _mean_ms(_compute)
    return slowness(spawn_ms, loop_ms), {
        "spawn_ms": round(spawn_ms, 2),
        "loop_ms": round(loop_ms, 2),
    }


def slowness(spawn_ms: float, loop_ms: float) -> float:
    """The larger of the two factors, in tenths, from 1 to FACTOR_MAX."""
    factor = max(spawn_ms / SPAWN_MS, loop_ms / LOOP_MS)
    return 1.0 if factor < NOISE else round(min(factor, FACTOR_MAX), 1)


def _mean_ms(act: Callable[[], object]) -> float:
    begin = time.perf_counter()
    for _ in range(ROUNDS):
        act()
    return (time.perf_counter() - begin) * 1000 / ROUNDS


def _spawn() -> None:
    """Start a program that does nothing, and wait for its end; nothing where there is none."""
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    with contextlib.suppress(OSError):
        os.waitpid(os.posix_spawnp("true", ["true"], environment), 0)


def _compute() -> int:
    return sum(number * number for number in range(LOOPS))
