"""The verbs wait, sleep and check: they change nothing; they wait for something, or look whether it is so."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from kvsim.checks.expectations import describe
from kvsim.checks.verdict import Verdict
from kvsim.client.exchange import Request
from kvsim.config.program import Role
from kvsim.config.scenario import Step
from kvsim.config.template import render_pattern
from kvsim.history.outcome import Kind
from kvsim.limits import Own
from kvsim.scenario.context import PASSED, Context, StepResult, Verb, failed, worst_result
from kvsim.scenario.readback import Values, same
from kvsim.scenario.roles import leaders
from kvsim.scenario.timing import timed
from kvsim.waiting import Deadline, TimedOut, wait_until


def wait(context: Context, step: Step, nodes: list[str]) -> StepResult:
    until = str(step.fields["until"])
    deadline = Deadline.after(step.timing.within_s or Own(5.0))
    try:
        wait_until(
            lambda: WAITS[until](context, step, nodes),
            deadline,
            f"{', '.join(nodes)} to be {until}",
        )
        context.note_limit(f"wait until {until}", f"step {step.id}", deadline)
    except TimedOut as error:
        return failed(str(error))
    return PASSED


def _serving(context: Context, step: Step, nodes: list[str]) -> bool:
    verb = "ping" if all("ping" in context.launcher.nodes[n].program.requests for n in nodes) else "get"
    request = Request(verb, {"key": "kvsim-is-anybody-there"} if verb == "get" else {})
    return all(
        context.sessions.ask(n, request, step=step.id, purpose="wait").outcome.kind is Kind.OK for n in nodes
    )


def _gone(context: Context, step: Step, nodes: list[str]) -> bool:
    return not any(context.launcher.nodes[node].up for node in nodes)


def _has_leader(context: Context, step: Step, nodes: list[str]) -> bool:
    return len(leaders(context.roles.look(step.id))) == 1


WAITS: dict[str, Callable[[Context, Step, list[str]], bool]] = {
    "ready": _serving,
    "serving": _serving,
    "gone": _gone,
    "leader": _has_leader,
}


def sleep(context: Context, step: Step, nodes: list[str]) -> StepResult:
    time.sleep(float(step.fields["for"]))
    return PASSED


def check(context: Context, step: Step, nodes: list[str]) -> StepResult:
    if not nodes:
        return StepResult(Verdict.INVALID, "there is no node that could be looked at")
    aspect = next(name for name in CHECKS if step.fields.get(name) is not None)
    return timed(
        lambda: CHECKS[aspect](context, step, nodes),
        step.timing,
        partial(context.note_limit, "eventually", f"step {step.id}"),
    )


def _check_state(context: Context, step: Step, nodes: list[str]) -> StepResult:
    if not context.state.baseline:
        return StepResult(
            Verdict.INVALID, "no write was accepted before, so there is no state to compare with"
        )
    if len(nodes) < 2 and step.fields["state"] == "same":
        return StepResult(Verdict.INVALID, f"{nodes[0]} alone is the same as nobody: two nodes are needed")
    compare = {"unchanged": _unchanged, "same": _all_same}[str(step.fields["state"])]
    problems = []
    for key in list(context.state.baseline):
        now = context.state.read(key, step=step.id, phase="check")
        problems += compare(context, key, {node: now.get(node) for node in nodes})
    return worst_result(problems or [PASSED])


def _unchanged(context: Context, key: str, now: Values) -> list[StepResult]:
    before = context.state.baseline[key]
    leader_now = [now[name] for name in leaders(context.seen) if name in now]
    results = []
    for node, reading in now.items():
        verdict = same(before.get(node), reading)
        caught_up = (
            context.cluster.lag.follower_has != "never" and leader_now and same(leader_now[0], reading)
        )
        if verdict is None:
            results.append(StepResult(Verdict.UNKNOWN, f"{node}: {key} could not be read back"))
        elif not verdict and not caught_up:
            results.append(failed(f"{node}: {key} was {describe(before[node])} and is {describe(reading)}"))
    return results


def _all_same(context: Context, key: str, now: Values) -> list[StepResult]:
    first, *others = now.items()
    results = []
    for node, reading in others:
        verdict = same(first[1], reading)
        if verdict is None:
            results.append(StepResult(Verdict.UNKNOWN, f"{key} could not be read on {first[0]} and {node}"))
        elif not verdict:
            results.append(
                failed(f"{key}: {first[0]} shows {describe(first[1])}, {node} {describe(reading)}")
            )
    return results


def _check_role(context: Context, step: Step, nodes: list[str]) -> StepResult:
    wanted = Role(str(step.fields["role"]))
    context.seen = context.roles.look(step.id)
    wrong = [node for node in nodes if context.seen[node].role is not wanted]
    told = ", ".join(
        f"{node} {context.seen[node].how} {context.seen[node].role or 'nothing'}" for node in wrong
    )
    return failed(f"expected {wanted}: {told}") if wrong else PASSED


def _check_log(context: Context, step: Step, nodes: list[str]) -> StepResult:
    pattern = render_pattern(str(step.fields["log"]), context.variables)
    without = [node for node in nodes if not context.launcher.log_has(node, pattern)]
    return failed(f"no line matching {pattern!r} in the log of {', '.join(without)}") if without else PASSED


CHECKS: dict[str, Verb] = {"state": _check_state, "role": _check_role, "log": _check_log}
