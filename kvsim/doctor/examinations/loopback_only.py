"""Can only this machine reach it?"""

from __future__ import annotations

import ipaddress

from kvsim.doctor.finding import Finding, odd, well
from kvsim.doctor.patient import Patient
from kvsim.process.sockets import listening
from kvsim.process.tree import members


def examine(patient: Patient) -> Finding:
    with patient.ward() as ward:
        found = listening(members(ward.node.process.identity, ward.node.mark))
    wide = sorted(
        {f"{one.address}:{one.port}" for one in found if not ipaddress.ip_address(one.address).is_loopback}
    )
    if wide:
        return odd(
            f"it listens on {', '.join(wide)}",
            "everybody in the same network can reach it while it is tested",
            "bind to 127.0.0.1 (pass `{host}` on in `start`)",
        )
    return well("it listens on loopback only")
