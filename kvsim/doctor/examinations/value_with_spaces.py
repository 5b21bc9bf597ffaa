"""Does a value with spaces come back as it was?"""

from __future__ import annotations

from kvsim.doctor.finding import Finding
from kvsim.doctor.patient import Patient
from kvsim.doctor.values import keeps


def examine(patient: Patient) -> Finding:
    return keeps(
        patient,
        "two  words, and a third ",
        "a value with spaces",
        "it is cut at a space, so that what was stored is not what was sent",
        "take the rest of the line for the value, or send its length",
    )
