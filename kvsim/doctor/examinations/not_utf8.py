"""Does a value that is not UTF-8 come back as it was, or is it refused?"""

from __future__ import annotations

from kvsim.doctor.finding import Finding
from kvsim.doctor.patient import Patient
from kvsim.doctor.values import keeps


def examine(patient: Patient) -> Finding:
    value = b"caf\xe9 \xff\xfe".decode("utf-8", "surrogateescape")
    return keeps(
        patient,
        value,
        "a value that is not UTF-8",
        "bytes were decoded and not encoded back",
        "keep bytes as bytes, or refuse what is not UTF-8",
    )
