"""kvsim notices when it did not run itself."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys

from kvsim.process.clock_gaps import GAP_MIN_S, ClockGaps

STOPPED = """
import sys, threading
from kvsim.process.clock_gaps import watch_own_clock
gap = threading.Event()
with watch_own_clock(lambda began_ns, ended_ns: gap.set()):
    print("watching", flush=True)
    sys.exit(not gap.wait(180))
"""


def test_calls_that_are_far_apart_are_a_gap():
    gaps: list[tuple[int, int]] = []
    short, long = int(GAP_MIN_S * 1e9) - 1, int(GAP_MIN_S * 1e9)
    times = iter([0, short, short + long, short + long + 1])
    clock = ClockGaps(lambda began, ended: gaps.append((began, ended)), lambda: next(times))
    for _ in range(3):
        clock.tick()
    assert gaps == [(short, short + long)]


def test_a_process_that_was_stopped_notices_it():
    with subprocess.Popen([sys.executable, "-c", STOPPED], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"watching\n"
        os.kill(process.pid, signal.SIGSTOP)
        # It is stopped for longer than a gap: no other condition can be waited for.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GAP_MIN_S + 0.2)
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(180) == 0
