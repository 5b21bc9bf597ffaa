"""Does it start and become ready, in the time its node.yaml gives it?"""

from __future__ import annotations

import time

from kvsim.doctor.finding import Finding, ill, well
from kvsim.doctor.patient import Patient
from kvsim.errors import NodeFailed


def examine(patient: Patient) -> Finding:
    begin = time.monotonic()
    try:
        with patient.ward():
            return well(f"ready after {time.monotonic() - begin:.2f}s")
    except NodeFailed as error:
        return ill(
            str(error),
            "nothing else can be said of a program that does not start",
            "mend what the message names, or `ready:` in node.yaml",
        )
