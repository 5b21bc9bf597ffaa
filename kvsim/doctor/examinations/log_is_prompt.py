"""Can its log be read when it is written, or does it sit in a buffer?"""

from __future__ import annotations

import contextlib

from kvsim.config.template import render_pattern
from kvsim.doctor.finding import Finding, ill, odd, well
from kvsim.doctor.patient import Patient, Ward
from kvsim.waiting import Deadline, TimedOut, wait_until

SOON_S = 1.0


def examine(patient: Patient) -> Finding:
    with patient.without_log_probe().ward() as ward:
        pattern = next(
            (str(p.settings["pattern"]) for p in patient.program.ready.all_of if p.kind == "log"), ""
        )
        names = ward.launcher.names(ward.node.name)
        wanted = render_pattern(pattern, names) if pattern else "."
        if _appears(ward, wanted, SOON_S):
            return well("its lines are there when they are written")
        ward.launcher.stop_all()
        if not ward.node.search(wanted):
            return odd(
                "it logged nothing" if not pattern else f"no line ever matched {wanted!r}",
                "a log is the first thing one looks at when something goes wrong",
                "log one line when it serves, and name it in `ready: {log: …}`",
            )
    return ill(
        "its log came only when it ended",
        "output to a file sits in a buffer, so that a crash takes the last lines with it",
        "flush after each line (setvbuf, fflush, std::endl), or set `log: linebuf` or `log: pty` in node.yaml",
    )


def _appears(ward: Ward, pattern: str, within_s: float) -> bool:
    with contextlib.suppress(TimedOut):
        return bool(wait_until(lambda: ward.node.search(pattern), Deadline.after(within_s), "a log line"))
    return False
