"""The time modifiers of steps: once, until it is so (`eventually`), all the time (`always`).

Knows no verb.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from kvsim.checks.verdict import Verdict
from kvsim.config.scenario import Step
from kvsim.runner.context import PASSED, Context, StepResult
from kvsim.runner.targets import ResolvedTarget
from kvsim.waiting import Deadline, TimedOut, wait_until

MODIFIERS = ("eventually", "always", "within")
ALWAYS_PAUSE_S = 0.02

# One try on these nodes.
Attempt = Callable[[list[str]], StepResult]


def run_timed(context: Context, step: Step, nodes: list[str], attempt: Attempt) -> StepResult:
    """The result of `attempt` on the step's nodes under its time modifier.

    `within` is the business of the attempt.
    """
    if step.timing.eventually_s is not None:
        return _eventually(context, step, nodes, attempt, step.timing.eventually_s)
    if step.timing.always_s is not None:
        return _always(partial(attempt, nodes), step.timing.always_s)
    return attempt(nodes)


def _eventually(
    context: Context, step: Step, nodes: list[str], attempt: Attempt, timeout_s: float
) -> StepResult:
    """Try until it passes. Each further try resolves the target again."""
    deadline = Deadline.after(timeout_s)
    target = ResolvedTarget(tuple(nodes), problem="" if nodes else "no node matched the target")
    results: list[StepResult] = []

    def is_met() -> bool:
        nonlocal target
        if results or target.problem:
            target = resolve_again(context, step, target)
        results.append(
            context.no_target(target.problem) if target.problem else attempt(list(target.nodes))
        )
        return results[-1].verdict is Verdict.PASS

    try:
        wait_until(is_met, deadline, "the expectation to be met")
    except TimedOut:
        last = results[-1]
        why = f"not within {deadline.timeout_s:g}s; {len(results)} tries; last: {last.why}"
        return StepResult(last.verdict, why)
    context.note_timeout_use("eventually", f"step {step.id}", deadline)
    return PASSED


def resolve_again(context: Context, step: Step, before: ResolvedTarget) -> ResolvedTarget:
    """The nodes of the step's target by the roles that the nodes report now.

    Nodes that differ from those before are journaled. Nothing is asked where the answer can change
    neither the nodes nor whether the expectation is met.
    """
    target = step.target()
    by_role = target is not None and target.depends_on_roles
    if not by_role and not (step.expect and step.expect.names_leader()):
        return before
    context.observe_roles(step.id)
    if not by_role:
        return before
    found = context.resolve(step)
    if not found.problem and found.nodes != before.nodes:
        context.journal.write(
            "step_target", id=step.id, targets=list(found.nodes), resolved=found.how
        )
    return found


def _always(attempt: Callable[[], StepResult], period_s: float) -> StepResult:
    deadline = Deadline.after(period_s)
    count = 0
    while True:
        result = attempt()
        count += 1
        if result.verdict is not Verdict.PASS:
            return StepResult(result.verdict, f"at try {count}: {result.why}")
        if deadline.passed() and count > 1:
            return PASSED
        time.sleep(min(ALWAYS_PAUSE_S, deadline.left_s()))
