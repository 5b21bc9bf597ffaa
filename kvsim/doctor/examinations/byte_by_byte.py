"""Does it understand a request that arrives one byte at a time?"""

from __future__ import annotations

import time

from kvsim.doctor.finding import Finding, ill, not_looked, well
from kvsim.doctor.patient import Patient
from kvsim.doctor.wire import UNKNOWN_BYTES, NoReply, codec_of, connection, encode, more_came, replies

PAUSE_S = 0.002


def examine(patient: Patient) -> Finding:
    with patient.ward() as ward:
        codec = codec_of(ward)
        if codec is None or not patient.can("get"):
            return not_looked(UNKNOWN_BYTES)
        with connection(ward) as opened:
            try:
                for byte in encode(codec, "get", key="doctor"):
                    opened.sendall(bytes([byte]))
                    time.sleep(PAUSE_S)
                (reply,) = replies(opened, codec, ("get",))
                if more_came(opened, reply):
                    raise NoReply("one request got several answers")
            except (NoReply, OSError) as what:
                return ill(
                    f"a request in single bytes: {what}",
                    "TCP may cut a request anywhere: on a slow network it fails at random",
                    "read until the request is whole",
                )
        outcome = ward.ask("get", key="doctor").outcome
    if not outcome.answered:
        return ill(
            f"afterwards, a whole request got {outcome.detail}",
            "pieces of a request were taken for requests",
            "read until the request is whole",
        )
    return well(f"it was answered as a whole: {reply.text[:40].decode('utf-8', 'replace')}")
