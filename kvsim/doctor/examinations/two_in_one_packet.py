"""Does it answer two requests that arrive in one packet?"""

from __future__ import annotations

from kvsim.doctor.finding import Finding, not_looked, odd, well
from kvsim.doctor.patient import Patient
from kvsim.doctor.wire import UNKNOWN_BYTES, NoReply, codec_of, connection, encode, replies


def examine(patient: Patient) -> Finding:
    with patient.ward() as ward:
        codec = codec_of(ward)
        if codec is None or not patient.can("get"):
            return not_looked(UNKNOWN_BYTES)
        with connection(ward) as opened:
            opened.sendall(encode(codec, "get", key="doctor-1") + encode(codec, "get", key="doctor-2"))
            try:
                replies(opened, codec, ("get", "get"))
            except NoReply as what:
                return odd(
                    f"two requests in one packet: {what}",
                    "TCP joins what is sent quickly: a fast client loses requests",
                    "keep what is left in the read buffer, and look in it for the next request before reading again",
                )
    return well("both were answered")
