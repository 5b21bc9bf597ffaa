"""Can its links be broken packet by packet (`links: netns`)?"""

from __future__ import annotations

from kvsim.doctor.finding import Finding, not_looked, odd, well
from kvsim.doctor.patient import Patient
from kvsim.errors import NodeFailed
from kvsim.faults.netns.child import NoNetwork


def examine(patient: Patient) -> Finding:
    try:
        with patient.ward(apart=True) as ward:
            cannot = ward.network.cannot_hold
    except NoNetwork as error:
        return not_looked(str(error))
    except NodeFailed as error:
        return odd(
            f"at an address of its own {str(error).splitlines()[0].partition('; last lines')[0]}",
            "it cannot live in a network namespace of its own, so `links: netns` is not for it",
            "pass `{host}` on in `start`, and listen there",
        )
    if cannot:
        return well(
            f"it serves at an address of its own; delay, bandwidth and stall cannot be had here: {cannot}"
        )
    return well("it serves at an address of its own")
