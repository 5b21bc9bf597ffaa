"""Does it survive clients that ask and are gone before the answer?"""

from __future__ import annotations

import contextlib

from kvsim.doctor.finding import Finding, ill, well
from kvsim.doctor.patient import Patient
from kvsim.doctor.wire import NoReply, codec_of, connection, encode, still_serves, vanish

CLIENTS, REQUESTS = 10, 50


def examine(patient: Patient) -> Finding:
    with patient.ward() as ward:
        data = encode(codec_of(ward), "get", key="doctor") if patient.can("get") else b"gone"
        with contextlib.suppress(
            NoReply, OSError
        ):  # it has died of an earlier one: what it died of is told below
            for at in range(CLIENTS):
                with connection(ward) as opened:
                    opened.sendall(data * REQUESTS)
                    if at % 2:  # a reset, and in turn an orderly end that its answers run into
                        vanish(opened)
        trouble = still_serves(ward)
    if trouble:
        return ill(
            f"after {CLIENTS} clients that vanished, {trouble}",
            "writing to a closed socket raises SIGPIPE, which kills a program that does not ignore it",
            "ignore SIGPIPE, or send with MSG_NOSIGNAL, and take an error from write as the end of that connection",
        )
    return well("it goes on serving")
