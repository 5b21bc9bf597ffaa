"""Does a second one on the same port say so and end, while the first goes on?"""

from __future__ import annotations

from dataclasses import replace

from kvsim.config.names import names_for
from kvsim.doctor.finding import Finding, ill, not_looked, odd, well
from kvsim.doctor.patient import Patient
from kvsim.doctor.wire import still_serves
from kvsim.launcher.node import Node
from kvsim.launcher.preparing import prepare, start_plan
from kvsim.process.child import Ended
from kvsim.process.ladder import KILL_NOW, stop_tree
from kvsim.process.sockets import listening
from kvsim.process.spawn import spawn
from kvsim.process.tree import members
from kvsim.waiting import Deadline

PATIENCE_S = 3.0


def examine(patient: Patient) -> Finding:
    with patient.ward() as ward:
        first = ward.node
        second = Node(
            replace(first.place, data_dir=str(first.folder / "second" / "data")),
            first.mark,
            first.folder / "second",
        )
        prepare_only = patient.program.init or len(ward.launcher.nodes) > 1
        if prepare_only:
            return not_looked(
                "a second one needs a data directory of its own, made by `init` or by joining the cluster"
            )
        ended, listens = _run(second, names_for(ward.launcher.cluster, second.place, [second.place]))
        trouble = still_serves(ward)
    if trouble:
        return ill(
            f"beside a second one on its port, {trouble}",
            "starting one twice by mistake breaks the one that serves",
            "do not set SO_REUSEPORT",
        )
    if listens:
        return ill(
            "both took the port",
            "the kernel deals connections out to either: half the clients see another store",
            "do not set SO_REUSEPORT",
        )
    if ended is None:
        return odd(
            f"the second one was still there after {PATIENCE_S:g}s without the port",
            "it looks started to whoever started it",
            "exit with a message when bind fails",
        )
    if ended.status == 0:
        return odd(
            "the second one ended with status 0",
            "a script takes that for success",
            "exit with another status than 0 when bind fails",
        )
    return well(f"the second one {ended.describe()}")


def _run(second: Node, names: dict) -> tuple[Ended | None, bool]:
    """How it ended, and whether it got the port beside the first."""
    prepare(second, names)
    second.next_incarnation()
    child = spawn(start_plan(second, names))
    try:
        ended = child.wait(Deadline.after(PATIENCE_S))
        mine = (
            []
            if ended
            else [one for one in listening(members(child.identity)) if one.port == second.place.port]
        )
        return ended, bool(mine)
    finally:
        stop_tree(child, KILL_NOW)
