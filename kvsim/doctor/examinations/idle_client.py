"""Does a client that is connected and silent keep others waiting?"""

from __future__ import annotations

from kvsim.doctor.finding import Finding, odd, well
from kvsim.doctor.patient import Patient
from kvsim.doctor.wire import connection, still_serves


def examine(patient: Patient) -> Finding:
    with patient.ward() as ward, connection(ward):
        trouble = still_serves(ward)
    if trouble:
        return odd(
            f"beside a silent client, {trouble}",
            "it serves one client at a time, so one that only connects stops all others",
            "serve each connection in a thread of its own, or use poll",
        )
    return well("others are served beside it")
