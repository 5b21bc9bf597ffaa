"""Run a scenario's steps one after another against nodes that are up.

Plain blocking code; judges steps, not the run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from kvsim.checks.expectations import describe_expectation
from kvsim.checks.verdict import Verdict
from kvsim.config.needs import unmet_needs
from kvsim.config.scenario import Step
from kvsim.errors import NodeFailed
from kvsim.history.run_record import LEFT_OUT
from kvsim.runner.context import (
    PASSED,
    Context,
    OnProgress,
    StepResult,
    StepVerb,
    failed,
    failed_by,
    worst_result,
)
from kvsim.runner.registry import REGISTRY
from kvsim.runner.steps.requests import fill_expectation
from kvsim.runner.targets import ResolvedTarget

SKIPPED = "skipped: an earlier step of its group did not pass"


def run_steps(context: Context, on_progress: OnProgress, *, fail_fast: bool = False) -> None:
    """Run every group.

    A step that does not pass ends its group; with `fail_fast` it ends the run.
    """
    for group in context.scenario.groups:
        context.run_held_steps = partial(_run_held_steps, context, group.title, on_progress)
        results = _run_group(context, group.title, group.steps, on_progress)
        if fail_fast and not _all_passed(results):
            return


def _run_group(
    context: Context, group: str, steps: Sequence[Step], on_progress: OnProgress
) -> dict[str, StepResult]:
    """Run the steps of a group, or those that a step holds. Step id → result, of all that ran."""
    results: dict[str, StepResult] = {}
    programs = [node.program for node in context.cluster.nodes]
    for index, step in enumerate(steps):
        lacking = unmet_needs(step.needs, programs)
        if lacking:
            _skip(context, group, step, f"{LEFT_OUT}{lacking[0]}")
            continue
        results[step.id] = _run_step(context, group, step, on_progress)
        if not _all_passed(results):
            for later in steps[index + 1 :]:
                _skip(context, group, later, SKIPPED)
            break
    return results


def _run_held_steps(
    context: Context, group: str, on_progress: OnProgress, holder: Step
) -> StepResult:
    """The worst of the held steps, named."""
    results = _run_group(context, group, holder.steps, on_progress)
    bad = [
        StepResult(result.verdict, f"step {step_id} inside it did not pass")
        for step_id, result in results.items()
        if result.verdict is not Verdict.PASS
    ]
    return worst_result(bad) if bad else PASSED


def _all_passed(results: Mapping[str, StepResult]) -> bool:
    return all(result.verdict is Verdict.PASS for result in results.values())


def _run_step(context: Context, group: str, step: Step, on_progress: OnProgress) -> StepResult:
    context.observe_roles(step.id)
    target = context.resolve(step, prefer_up=not verb_of(step).targets_down)
    on_progress(step, ", ".join(target.nodes), None)
    result = run_step(context, group, step, target)
    on_progress(step, ", ".join(target.nodes), result)
    return result


def run_step(context: Context, group: str, step: Step, target: ResolvedTarget) -> StepResult:
    """Run and journal one step. Never raises for what a node does.

    A step that waits starts without nodes too: its target may match some in time.
    """
    begin_step(context, group, step, target)
    if target.problem and not verb_of(step).waits(step):
        return end_step(context, step, context.no_target(target.problem))
    return end_step(context, step, carry_out(context, step, target.nodes))


def carry_out(context: Context, step: Step, nodes: Sequence[str]) -> StepResult:
    """Carry out a step on these nodes, by its verb. Not journaled as a step."""
    try:
        return verb_of(step).run(context, step, list(nodes))
    except NodeFailed as error:
        return failed_by(error)


def verb_of(step: Step) -> StepVerb[Any]:
    verb = REGISTRY.verbs[step.verb]
    if not isinstance(verb, StepVerb):
        raise TypeError(f"no function carries out the verb {step.verb}")
    return verb


def begin_step(context: Context, group: str, step: Step, target: ResolvedTarget) -> None:
    """Journal the beginning of a step."""
    expect = fill_expectation(step.expect, context.variables) if step.expect else None
    context.journal.write(
        "step",
        **describe_step(group, step),
        targets=list(target.nodes),
        resolved=target.how,
        expect=describe_expectation(expect),
        expectation=expect.to_json() if expect else None,
    )


def end_step(context: Context, step: Step, result: StepResult) -> StepResult:
    """Journal the end of a step. The result also names nodes that died during the step."""
    result = _with_deaths(context, result)
    context.launcher.record_log_sizes()
    context.journal.write("step_end", id=step.id, result=str(result.verdict), why=result.why)
    return result


def _with_deaths(context: Context, result: StepResult) -> StepResult:
    ended = context.launcher.reap()
    for node in ended:
        context.connections.drop(node.name)
    died = [node for node in ended if not node.end_tolerated]
    if not died:
        return result
    ends = ((node.name, node.started_process.poll()) for node in died)
    described = ", ".join(f"{name} {end.describe() if end else 'ended'}" for name, end in ends)
    return failed("; ".join(filter(None, (result.why, f"during this step {described}"))))


def _skip(context: Context, group: str, step: Step, why: str) -> None:
    context.journal.write("step", **describe_step(group, step))
    context.journal.write("step_end", id=step.id, result="skipped", why=why)
    for held in step.steps:
        _skip(context, group, held, why)


def describe_step(group: str, step: Step) -> dict[str, object]:
    """The fields of its `step` event that follow from the scenario alone."""
    target = step.target()
    return {
        "id": step.id,
        "group": group,
        "verb": step.verb,
        **({"at": str(target)} if target is not None else {}),
        "line": step.location.line,
        "text": step.text,
    }
