"""The verbs start, stop, restart and kill: what they do to each node in turn."""

from __future__ import annotations

from collections.abc import Callable

from kvsim.config.scenario import Step
from kvsim.errors import NodeFailed
from kvsim.scenario.context import PASSED, Context, StepResult, failed, worst_result


def start(context: Context, step: Step, nodes: list[str]) -> StepResult:
    return _each(nodes, lambda node: context.launcher.start(node, step.timing.within_s))


def stop(context: Context, step: Step, nodes: list[str]) -> StepResult:
    return _each(nodes, lambda node: _ended(context, node, context.launcher.stop))


def restart(context: Context, step: Step, nodes: list[str]) -> StepResult:
    def again(node: str) -> None:
        _ended(context, node, context.launcher.stop)
        context.launcher.start(node, step.timing.within_s)

    return _each(nodes, again)


def kill(context: Context, step: Step, nodes: list[str]) -> StepResult:
    signal = str(step.fields.get("signal", "KILL"))
    return _each(nodes, lambda node: _ended(context, node, lambda name: context.launcher.kill(name, signal)))


def _ended(context: Context, node: str, end: Callable[[str], None]) -> None:
    context.sessions.drop(node)
    end(node)


def _each(nodes: list[str], do: Callable[[str], None]) -> StepResult:
    results = []
    for node in nodes:
        try:
            do(node)
            results.append(PASSED)
        except NodeFailed as error:
            results.append(failed(str(error)))
    return worst_result(results)
