"""Pause: SIGSTOP to every process of the nodes.

Evidence: every thread of every process of the node is stopped (state T), and a ping is not
answered. Recovery: SIGCONT, no thread is stopped any more, and a ping is answered.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from kvsim.faults.fault import Evidence, Fault, Recovery
from kvsim.faults.node_handle import NodeHandle, names_of
from kvsim.faults.registry import AT, AtSettings, BuildContext, FaultDeclaration, draw_at
from kvsim.process.identity import Identity
from kvsim.timeouts import DefaultTimeout
from kvsim.waiting import Deadline, TimedOut, wait_until

STOP_WITHIN_S = DefaultTimeout(2.0)
PAUSED_PING_S = 0.2
RECOVERY_PING_S = 1.0
RECOVER_WITHIN_S = DefaultTimeout(5.0)


class Pause(Struct, frozen=True):
    """Nodes whose threads are all stopped."""

    handles: tuple[NodeHandle, ...]
    kind: str = "pause"

    @property
    def nodes(self) -> tuple[str, ...]:
        return names_of(self.handles)

    def plan(self) -> Mapping[str, Any]:
        return {}

    def begin(self) -> Sequence[Evidence]:
        for handle in self.handles:
            _signal(handle.tree(), signal.SIGSTOP)
        return [_evidence(handle) for handle in self.handles]

    def measure(self) -> Sequence[Evidence]:
        return ()

    def recover(self) -> Sequence[Recovery]:
        for handle in self.handles:
            _signal(handle.tree(), signal.SIGCONT)
        return [_recovery(handle) for handle in self.handles]


def _signal(processes: Sequence[Identity], number: int) -> None:
    for process in processes:
        process.signal(number)


def _evidence(handle: NodeHandle) -> Evidence:
    def all_stopped() -> bool:
        tree = handle.tree()
        # A child that was being forked during the first signal is still running.
        _signal([process for process in tree if not process.stopped()], signal.SIGSTOP)
        return bool(tree) and all(process.stopped() for process in tree)

    try:
        deadline = Deadline.after(handle.limits.of(STOP_WITHIN_S))
        wait_until(all_stopped, deadline, f"every thread of {handle.name} to stop")
        stopped = True
    except TimedOut:
        stopped = False
    failure = handle.ping(PAUSED_PING_S)
    threads = "every thread is stopped" if stopped else "a thread is still running"
    ping = f"a ping was not answered ({failure})" if failure else "a ping was answered"
    measured = {
        "pids": [process.pid for process in handle.tree()],
        "stopped": stopped,
        "ping": failure or "answered",
    }
    took_effect = stopped and failure is not None
    return Evidence(handle.name, took_effect, f"{handle.name}: {threads}; {ping}", measured)


def _recovery(handle: NodeHandle) -> Recovery:
    name, failure = handle.name, ""

    def answers() -> bool:
        nonlocal failure
        if any(process.stopped() for process in handle.tree()):
            failure = "a thread is still stopped"
        else:
            failure = handle.ping(RECOVERY_PING_S) or ""
        return not failure

    ended = handle.ended()
    if ended is not None:
        return Recovery(name, False, f"{name} {ended} while it was paused")
    try:
        deadline = Deadline.after(handle.limits.of(RECOVER_WITHIN_S))
        wait_until(answers, deadline, f"{name} to answer")
    except TimedOut:
        return Recovery(name, False, f"{name} was continued, but {failure}")
    return Recovery(name, True, f"{name} is running again and answers")


def _build(context: BuildContext, settings: AtSettings) -> Fault:
    return Pause(context.handles(settings.at))


PAUSE = FaultDeclaration(
    name="pause",
    order=20,
    description="stop every thread of the nodes; they continue when the scope ends",
    settings=AtSettings,
    fields={"at": AT},
    build=_build,
    evidence="every thread is stopped (state T), and a ping is not answered",
    recovery="no thread is stopped, and a ping is answered",
    draw=draw_at("pause"),
    default_weight=1,
    exclusive="pause",
)
