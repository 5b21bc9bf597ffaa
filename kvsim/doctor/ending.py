"""Send a patient one signal, its first process only, and tell how it ended. Shared by the examinations of signals."""

from __future__ import annotations

import contextlib
import time

from kvsim.doctor.finding import Finding, ill, odd, well
from kvsim.doctor.patient import Patient
from kvsim.launcher.stopping import number_of
from kvsim.waiting import Deadline, TimedOut, wait_until

PATIENCE_S = 5.0


def end_by(patient: Patient, signal: str) -> Finding:
    """How the program takes a signal that asks it to end."""
    with patient.ward() as ward:
        node, begin = ward.node, time.monotonic()
        node.end_wanted = True
        node.process.identity.signal(number_of(signal))
        with contextlib.suppress(TimedOut):
            wait_until(lambda: not node.up, Deadline.after(PATIENCE_S), f"its end by {signal}")
        ended, took_s = node.process.poll(), time.monotonic() - begin
    if ended is None:
        return ill(
            f"it still ran {PATIENCE_S:g}s after SIG{signal}",
            "every stop ends in a kill, and whatever it had not written by then is lost",
            f"handle SIG{signal}: close the listener, write what is left, exit with 0",
        )
    said = f"it {ended.describe()} {took_s:.2f}s after SIG{signal}"
    status = ended.status if ended.signal is None else 128 + ended.signal
    if status in patient.program.stop.exits or signal != "TERM":
        return well(said)
    return odd(
        said,
        "to a script that looks like a crash",
        f"handle SIG{signal} and exit with 0, or say `stop: {{exit: [{status}]}}` in node.yaml",
    )
