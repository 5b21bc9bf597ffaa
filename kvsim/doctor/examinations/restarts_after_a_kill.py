"""Does it start again on its port right after it was killed with a client connected, and has it kept what it acknowledged?"""

from __future__ import annotations

import contextlib

from kvsim.doctor.finding import Finding, ill, well
from kvsim.doctor.patient import Patient, Ward
from kvsim.doctor.wire import connection
from kvsim.errors import NodeFailed
from kvsim.history.outcome import Kind
from kvsim.waiting import Deadline, TimedOut, wait_until

SETTLE_S = 5.0  # a store that elects needs a moment


def examine(patient: Patient) -> Finding:
    with patient.ward() as ward, connection(ward):
        stored = (
            patient.can("put", "get")
            and ward.ask("put", key="doctor", value="was here").outcome.kind is Kind.OK
        )
        ward.launcher.kill(ward.node.name)
        try:
            ward.launcher.start(ward.node.name)
        except NodeFailed as error:
            return ill(
                str(error),
                "a supervisor cannot bring it back without waiting",
                "set SO_REUSEADDR before bind, and do not trust a lock file that a kill leaves behind",
            )
        kept = not stored or _reads_back(ward)
    if not kept and "restart" in patient.program.capabilities:
        return ill(
            "it came back without a value it had acknowledged",
            "an acknowledged write is lost by a kill",
            "write to the file, and flush, before answering OK",
        )
    return well(
        "it came back on its port"
        + (", with its data" if kept and stored else "" if kept else ", without its data")
    )


def _reads_back(ward: Ward) -> bool:
    def shows() -> bool:
        return ward.ask("get", key="doctor").outcome.value == "was here"

    with contextlib.suppress(TimedOut):
        return bool(wait_until(shows, Deadline.after(SETTLE_S), "the value"))
    return False
