"""Is everything it started gone when it has ended?"""

from __future__ import annotations

from kvsim.doctor.finding import Finding, ill, well
from kvsim.doctor.patient import Patient


def examine(patient: Patient) -> Finding:
    with patient.ward() as ward:
        ward.launcher.stop(ward.node.name)
        left = [text for event in ward.of_kind("stopped") for text in event["leftovers"]]
    if left:
        return ill(
            f"it left {', '.join(left)}",
            "the leftover holds files, memory and perhaps the port",
            "end and wait for every child before exiting",
        )
    return well("nothing of it was left")
