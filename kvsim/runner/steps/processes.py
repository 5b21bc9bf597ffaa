"""The verbs start, stop, restart and kill: start and end the processes of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from kvsim.config.node_states import NodeStates
from kvsim.config.scenario import TargetedStep
from kvsim.config.schema import Field, Signal
from kvsim.config.target import TargetSchema
from kvsim.errors import NodeFailed
from kvsim.runner.context import PASSED, Context, StepResult, StepVerb, failed_by, worst_result

AT = Field(TargetSchema(), "the target", required=True)


class StartStep(TargetedStep, frozen=True, kw_only=True):
    """Start nodes that are down."""

    def begin(self, states: NodeStates) -> Iterator[str]:
        reach = states.reach(self.at, prefer_up=False)
        yield from states.running(reach.certain)
        states.set(reach, True, self.location.line)


class StopStep(TargetedStep, frozen=True, kw_only=True):
    """Stop nodes in order."""

    def begin(self, states: NodeStates) -> Iterator[str]:
        yield from end_nodes(self, states)
        states.set(states.reach(self.at), False, self.location.line)


class RestartStep(TargetedStep, frozen=True, kw_only=True):
    """Stop nodes in order and start them again."""

    def begin(self, states: NodeStates) -> Iterator[str]:
        yield from end_nodes(self, states)
        states.set(states.reach(self.at), True, self.location.line)


class KillStep(TargetedStep, frozen=True, kw_only=True):
    """Send a signal to nodes."""

    signal: str = "KILL"

    def begin(self, states: NodeStates) -> Iterator[str]:
        reach = states.reach(self.at)
        yield from states.down(reach.certain)
        if self.signal != "KILL":
            yield from paused(states, reach.certain)
        states.set(reach, False, self.location.line)


def end_nodes(step: TargetedStep, states: NodeStates) -> Iterator[str]:
    """Why the nodes of the step cannot be stopped in order."""
    names = states.reach(step.at).certain
    yield from states.down(names)
    yield from paused(states, names)


def paused(states: NodeStates, names: Iterable[str]) -> Iterator[str]:
    """A stopped process acts on no signal but KILL."""
    for name in names:
        line = states.scopes.get(("pause", name))
        if line is not None:
            yield f"{name} is paused here (line {line}), so that it cannot end in order"


def start(context: Context, step: StartStep, nodes: list[str]) -> StepResult:
    launcher = context.launcher
    if all(launcher.nodes[node].program.order == "together" for node in nodes):
        # Where nodes elect, one alone is not ready.
        try:
            launcher.start_together(nodes, step.timing.within_s)
        except NodeFailed as error:
            return failed_by(error)
        return PASSED
    return _on_each(nodes, lambda node: launcher.start(node, step.timing.within_s))


def stop(context: Context, step: StopStep, nodes: list[str]) -> StepResult:
    return _on_each(nodes, lambda node: _stop(context, node))


def restart(context: Context, step: RestartStep, nodes: list[str]) -> StepResult:
    def restart_node(node: str) -> None:
        _stop(context, node)
        context.launcher.start(node, step.timing.within_s)

    return _on_each(nodes, restart_node)


def kill(context: Context, step: KillStep, nodes: list[str]) -> StepResult:
    def kill_node(node: str) -> None:
        context.connections.drop(node)
        context.launcher.kill(node, step.signal)

    return _on_each(nodes, kill_node)


def _stop(context: Context, node: str) -> None:
    context.connections.drop(node)
    context.launcher.stop(node)


def _on_each(nodes: list[str], action: Callable[[str], None]) -> StepResult:
    """Run the action for every node, also after one of them has failed."""
    results = []
    for node in nodes:
        try:
            action(node)
            results.append(PASSED)
        except NodeFailed as error:
            results.append(failed_by(error))
    return worst_result(results)


START = StepVerb(
    name="start",
    order=100,
    description="start a node that is down and wait until it is ready",
    step=StartStep,
    run=start,
    fields={"at": AT},
    timing=("within",),
    bare="at",
    targets_down=True,
)
STOP = StepVerb(
    name="stop",
    order=110,
    description="stop a node in order and wait until it has ended",
    step=StopStep,
    run=stop,
    fields={"at": AT},
    timing=("within",),
    bare="at",
)
RESTART = StepVerb(
    name="restart",
    order=120,
    description="stop a node in order, start it, wait until it is ready",
    step=RestartStep,
    run=restart,
    fields={"at": AT},
    timing=("within",),
    bare="at",
)
KILL = StepVerb(
    name="kill",
    order=130,
    description="send a signal, by default the one that nothing survives",
    step=KillStep,
    run=kill,
    fields={"at": AT, "signal": Field(Signal(), "the signal", default="KILL", default_text="KILL")},
    timing=("within",),
    bare="at",
)
