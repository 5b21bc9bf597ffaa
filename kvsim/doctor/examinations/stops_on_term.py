"""Does SIGTERM end it, how fast, and with which status?"""

from __future__ import annotations

from kvsim.doctor.ending import end_by
from kvsim.doctor.finding import Finding
from kvsim.doctor.patient import Patient


def examine(patient: Patient) -> Finding:
    return end_by(patient, "TERM")
