"""Faults that end nodes: `kill` (by any signal) and `restart` (an orderly stop).

Evidence: the process ended as requested, and its port refuses connections.
Recovery starts the nodes again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from kvsim.config.schema import Duration, Field, Signal
from kvsim.config.target import Target
from kvsim.faults.fault import Evidence, Fault, Recovery
from kvsim.faults.kill_during_request import KillDuringRequest
from kvsim.faults.node_handle import NodeHandle, evidence_of_end, names_of, start_again
from kvsim.faults.registry import AT, AtSettings, BuildContext, FaultDeclaration, draw_at


class NodesDown(Struct, frozen=True):
    """Nodes that end when it begins and are started again when it is over."""

    kind: str
    handles: tuple[NodeHandle, ...]
    end_node: Callable[[NodeHandle], None]
    settings: Mapping[str, Any]

    @property
    def nodes(self) -> tuple[str, ...]:
        return names_of(self.handles)

    def plan(self) -> Mapping[str, Any]:
        return self.settings

    def begin(self) -> Sequence[Evidence]:
        for handle in self.handles:
            self.end_node(handle)
        return [evidence_of_end(handle) for handle in self.handles]

    def measure(self) -> Sequence[Evidence]:
        return ()

    def recover(self) -> Sequence[Recovery]:
        return [start_again(handle) for handle in self.handles]


def kill(handles: Sequence[NodeHandle], signal: str = "KILL") -> NodesDown:
    """Send a signal that ends the nodes."""
    return NodesDown("kill", tuple(handles), lambda handle: handle.kill(signal), {"signal": signal})


def restart(handles: Sequence[NodeHandle]) -> NodesDown:
    """Stop the nodes by their stop sequence."""
    return NodesDown("restart", tuple(handles), lambda handle: handle.stop(), {})


# --- kinds ------------------------------------------------------------------------------------


class KillSettings(Struct, frozen=True):
    at: Target
    signal: str
    after_request: float | None


def _build_kill(context: BuildContext, settings: KillSettings) -> Fault:
    handles = context.handles(settings.at)
    if settings.after_request is None:
        return kill(handles, settings.signal)
    fault = KillDuringRequest(handles, settings.after_request, settings.signal)
    context.wrap_next_request(fault.wrap)
    return fault


def _build_restart(context: BuildContext, settings: AtSettings) -> Fault:
    return restart(context.handles(settings.at))


KILL = FaultDeclaration(
    name="kill",
    order=10,
    description="kill the nodes; they are started again when the scope ends",
    settings=KillSettings,
    fields={
        "at": AT,
        "signal": Field(Signal(), "the signal", default="KILL", default_text="KILL"),
        "after_request": Field(
            Duration(zero=True),
            "the time from the first request of the steps in `do` to the signal; the nodes are "
            "killed during the request if it is not answered by then",
            default_text="at once",
        ),
    },
    build=_build_kill,
    evidence="the process ended by that signal, and its port refuses connections; with "
    "`after_request` also when the signal came, and whether the answer came before it",
    recovery="the node is ready again",
    draw=draw_at("kill"),
    default_weight=1,
    ends_nodes="always",
)
RESTART = FaultDeclaration(
    name="restart",
    order=30,
    description="stop the nodes in order; they are started again when the scope ends",
    settings=AtSettings,
    fields={"at": AT},
    build=_build_restart,
    evidence="the process ended, and its port refuses connections",
    recovery="the node is ready again",
    draw=draw_at("restart"),
    ends_nodes="always",
)
