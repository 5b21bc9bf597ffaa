"""Does it survive a client that sends half a request and goes away?"""

from __future__ import annotations

from kvsim.doctor.finding import Finding, ill, well
from kvsim.doctor.patient import Patient
from kvsim.doctor.wire import codec_of, connection, encode, still_serves


def examine(patient: Patient) -> Finding:
    with patient.ward() as ward:
        data = encode(codec_of(ward), "put", key="doctor", value="half") if patient.can("put") else b"half"
        with connection(ward) as opened:
            opened.sendall(data[: max(1, len(data) // 2)])
        trouble = still_serves(ward)
    if trouble:
        return ill(
            f"after half a request, {trouble}",
            "any client that breaks off can take it down",
            "treat end of file in the middle of a request as the end of that connection only",
        )
    return well("it goes on serving")
