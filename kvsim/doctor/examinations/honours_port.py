"""Does it listen on the port it is told, and on no other?"""

from __future__ import annotations

from kvsim.doctor.finding import Finding, ill, odd, well
from kvsim.doctor.patient import Patient
from kvsim.process.sockets import listening
from kvsim.process.tree import members


def examine(patient: Patient) -> Finding:
    with patient.ward() as ward:
        node = ward.node
        told = {node.place.port, *node.place.ports.values()}
        found = {one.port for one in listening(members(node.process.identity, node.mark))}
    more = sorted(found - told)
    if node.place.port not in found:
        return ill(
            f"it was told port {node.place.port} and listens on {more or 'none'}",
            "two of it cannot stand side by side",
            "pass `{port}` on in `start`",
        )
    if more:
        return odd(
            f"it also listens on {', '.join(map(str, more))}",
            "a second node on the same machine may find that port taken",
            "name it in `ports:` and pass it as `{ports.NAME}`",
        )
    return well(f"it listens on port {node.place.port} only")
