"""Does it take a value of 1 MB, or refuse it in words?"""

from __future__ import annotations

from kvsim.doctor.finding import Finding
from kvsim.doctor.patient import Patient
from kvsim.doctor.values import keeps

SIZE_BYTES = 1_000_000


def examine(patient: Patient) -> Finding:
    return keeps(
        patient,
        "v" * SIZE_BYTES,
        "a value of 1 MB",
        "a length was taken for granted somewhere (a fixed buffer, one read)",
        "read until the request is whole, and refuse what is too long in words",
    )
