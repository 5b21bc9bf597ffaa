"""Can its disk and its clock be broken on purpose?"""

from __future__ import annotations

from kvsim.doctor.finding import Finding, not_looked, odd, well
from kvsim.doctor.patient import Patient
from kvsim.faults.preload.build import NotBuilt
from kvsim.process.tree import members


def examine(patient: Patient) -> Finding:
    try:
        with patient.ward(inside=True) as ward:
            node = ward.node
            why_not = ward.control.why_not(members(node.process.identity, node.mark), node.data)
    except NotBuilt as error:
        return not_looked(str(error))
    if why_not is None:
        return well("the library that does that can be loaded into it")
    return odd(
        why_not,
        "of faults inside a node it can have a full disk only, by a limit on its files from outside",
        "nothing to mend: leave slow and failing disks and clocks out of its scenarios",
    )
