"""Run a scenario's steps one after another against nodes that are up. Plain blocking code; judges steps, not the run."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial

from kvsim.checks.expectations import in_words
from kvsim.checks.verdict import Verdict
from kvsim.config.scenario import Group, Step
from kvsim.config.target import Target
from kvsim.errors import NodeFailed
from kvsim.scenario.client_steps import filled
from kvsim.scenario.context import Context, StepResult, failed
from kvsim.scenario.fault_steps import inner_result
from kvsim.scenario.steps import STEPS
from kvsim.scenario.targets import Resolved, resolve

Show = Callable[
    [Step, str, StepResult | None], None
]  # progress: step, its resolved target, its result when it is over
OF_NODES_DOWN = {"start"}  # verbs whose target means nodes that are down, where there are any
SKIPPED = "skipped: an earlier step of its group did not pass"


def run_steps(context: Context, show: Show, *, fail_fast: bool = False) -> None:
    """Run every group. A step that does not pass ends its group; with `fail_fast` it ends the run."""
    for group in context.scenario.groups:
        context.run_held = partial(_run_held, context, group, show)
        results = _run_group(context, group, group.steps, show)
        if fail_fast and not _went_well(results):
            return


def _run_group(
    context: Context, group: Group, steps: Sequence[Step], show: Show
) -> list[tuple[str, StepResult]]:
    """Run steps of one group, or those that one of its steps holds: (id, result) of all that ran."""
    results: list[tuple[str, StepResult]] = []
    for place, step in enumerate(steps):
        results.append((step.id, _run_step(context, group, step, show)))
        if not _went_well(results):
            for later in steps[place + 1 :]:
                _skip(context, group, later)
            break
    return results


def _run_held(context: Context, group: Group, show: Show, holder: Step) -> StepResult:
    return inner_result(_run_group(context, group, holder.steps, show))


def _went_well(results: Sequence[tuple[str, StepResult]]) -> bool:
    return all(result.verdict is Verdict.PASS for _, result in results)


def _run_step(context: Context, group: Group, step: Step, show: Show) -> StepResult:
    resolved = _resolve(context, step)
    show(step, ", ".join(resolved.nodes), None)
    _note_begin(context, group, step, resolved)
    result = failed(resolved.problem) if resolved.problem else _do(context, step, list(resolved.nodes))
    result = _with_deaths(context, result)
    context.launcher.look_at_logs()
    context.journal.write("step_end", id=step.id, result=str(result.verdict), why=result.why)
    show(step, ", ".join(resolved.nodes), result)
    return result


def _do(context: Context, step: Step, nodes: list[str]) -> StepResult:
    try:
        return STEPS[step.verb](context, step, nodes)
    except NodeFailed as error:
        return failed(str(error))


def _resolve(context: Context, step: Step) -> Resolved:
    context.seen = context.roles.look(step.id)
    target = step.fields.get("at") or step.fields.get("nodes")
    if not isinstance(target, Target):
        return Resolved(())
    rng = random.Random(f"{context.seed}:{step.id}")
    return resolve(target, context.seen, rng, up=step.verb not in OF_NODES_DOWN)


def _with_deaths(context: Context, result: StepResult) -> StepResult:
    """A node that died during a step belongs to that step's story."""
    ended = context.launcher.reap()
    for node in ended:
        context.sessions.drop(node.name)
    died = [node for node in ended if not node.end_tolerated]
    if not died:
        return result
    names = ", ".join(f"{node.name} {node.process.poll().describe()}" for node in died)
    return failed("; ".join(part for part in (result.why, f"during this step {names}") if part))


def _note_begin(context: Context, group: Group, step: Step, resolved: Resolved) -> None:
    expect = filled(context, step.expect) if step.expect else None
    context.journal.write(
        "step",
        **_named(group, step),
        targets=list(resolved.nodes),
        resolved=resolved.how,
        expect=in_words(expect),
        wanted=expect.to_json() if expect else None,
    )


def _skip(context: Context, group: Group, step: Step) -> None:
    context.journal.write("step", **_named(group, step))
    context.journal.write("step_end", id=step.id, result="skipped", why=SKIPPED)
    for held in step.steps:
        _skip(context, group, held)


def _named(group: Group, step: Step) -> dict[str, object]:
    target = step.fields.get("at")
    words = {"at": str(target)} if target is not None else {}
    return {
        "id": step.id,
        "group": group.title,
        "verb": step.verb,
        **words,
        "line": step.line,
        "text": step.text,
    }
