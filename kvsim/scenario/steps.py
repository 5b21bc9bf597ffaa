"""What each verb does. One function a verb, in the table STEPS; the fields a verb takes stand in config/scenario_file.py."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping

from kvsim.checks.expectations import Seen, describe, judge
from kvsim.checks.verdict import Verdict
from kvsim.client.exchange import Request
from kvsim.config.program import Role
from kvsim.config.scenario import Expectation, Step
from kvsim.config.template import render, render_pattern
from kvsim.config.wire_text import to_bytes
from kvsim.errors import NodeFailed
from kvsim.history.outcome import Kind
from kvsim.history.record import WRITES, Operation
from kvsim.scenario.context import PASSED, Context, StepResult, failed, worst_result
from kvsim.scenario.readback import same
from kvsim.scenario.roles import leaders
from kvsim.waiting import Deadline, TimedOut, wait_until

Verb = Callable[[Context, Step, list[str]], StepResult]

ALWAYS_PAUSE_S = 0.02


# --- client verbs -------------------------------------------------------------------------------------------------


def client_verb(context: Context, step: Step, nodes: list[str]) -> StepResult:
    """put, get, delete, raw: the same request to each node, judged by the expectation and the time modifier."""
    return worst_result([_timed(context, step, node) for node in nodes])


def _timed(context: Context, step: Step, node: str) -> StepResult:
    timing = step.timing
    if timing.eventually_s is not None:
        return _eventually(lambda: _once(context, step, node), timing.eventually_s)
    if timing.always_s is not None:
        return _always(lambda: _once(context, step, node), timing.always_s)
    return _once(context, step, node)


def _eventually(once: Callable[[], StepResult], budget_s: float) -> StepResult:
    results: list[StepResult] = []

    def met() -> bool:
        results.append(once())
        return results[-1].verdict is Verdict.PASS

    try:
        wait_until(met, Deadline.after(budget_s), "the expectation to be met")
    except TimedOut:
        last = results[-1]
        return StepResult(last.verdict, f"not within {budget_s:g}s; {len(results)} tries; last: {last.why}")
    return PASSED


def _always(once: Callable[[], StepResult], period_s: float) -> StepResult:
    deadline = Deadline.after(period_s)
    count = 0
    while True:
        result = once()
        count += 1
        if result.verdict is not Verdict.PASS:
            return StepResult(result.verdict, f"at try {count}: {result.why}")
        if deadline.passed() and count > 1:
            return PASSED
        time.sleep(min(ALWAYS_PAUSE_S, deadline.left_s()))


def _once(context: Context, step: Step, node: str) -> StepResult:
    request = _request(context, step)
    key = request.fields.get("key", "")
    if step.verb in WRITES:
        context.state.read(key, step=step.id, phase="before")
    operation = context.sessions.ask(node, request, step=step.id, timeout_s=step.timing.within_s)
    operation = _follow(context, step, request, operation)
    if step.verb in WRITES:
        _read_after(context, step, operation, key)
    return _judge(context, step, operation)


def _request(context: Context, step: Step) -> Request:
    if step.verb == "raw":
        return Request("raw", payload=to_bytes(context.fill(step.fields["send"])))
    names = [name for name in ("key", "value") if name in step.fields]
    return Request(step.verb, {name: context.fill(step.fields[name]) for name in names})


def _follow(context: Context, step: Step, request: Request, operation: Operation) -> Operation:
    """With `follow: redirects`, ask the node that a refusal named, once."""
    leader = context.launcher.node_at(operation.outcome.leader)
    if not step.fields.get("follow") or operation.outcome.kind is not Kind.REFUSED or leader is None:
        return operation
    return context.sessions.ask(leader, request, step=step.id, purpose="follow")


def _read_after(context: Context, step: Step, operation: Operation, key: str) -> None:
    """What the write left behind. An accepted write on a follower gets the cluster's lag to reach the leader."""
    values = context.state.read(key, step=step.id, phase="after")
    if operation.outcome.kind is not Kind.OK:
        return
    true_leaders = leaders(context.seen)
    if operation.verb == "put" and operation.node not in true_leaders and true_leaders:
        values = _settle(context, step, operation, true_leaders[0], key)
    context.state.remember(key, values)


def _settle(context: Context, step: Step, operation: Operation, leader: str, key: str):
    values = {}

    def arrived() -> bool:
        values.update(context.state.read(key, step=step.id, phase="after"))
        return leader not in values or values[leader].value == operation.value

    with contextlib.suppress(TimedOut):  # the fate of the write says what that means
        wait_until(arrived, Deadline.after(context.cluster.lag.within_s), "the leader to show the write")
    return values


def _judge(context: Context, step: Step, operation: Operation) -> StepResult:
    expect = filled(context, step.expect)
    true = leaders(context.seen)
    named = operation.outcome.leader
    seen = Seen(
        operation.outcome,
        reply=operation.received.decode("utf-8", "replace"),
        leader_named=(context.launcher.node_at(named) or named) if named else None,
        leader_true=true[0] if len(true) == 1 else None,
    )
    miss = judge(expect, seen)
    return PASSED if miss is None else StepResult(miss.verdict, f"{operation.node}: {miss.why}")


def _as_it_is(text: str | None, variables: Mapping[str, str]) -> str | None:
    return text


FILLERS: dict[str, Callable] = {"value": render, "reply": render_pattern}


def filled(context: Context, expect: Expectation) -> Expectation:
    """An expectation with the scenario's variables filled in."""
    return Expectation(
        kind=expect.kind,
        value=FILLERS.get(expect.kind, _as_it_is)(expect.value, context.variables),
        reason=expect.reason,
        names=expect.names,
        options=tuple(filled(context, option) for option in expect.options),
    )


# --- process verbs ------------------------------------------------------------------------------------------------


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


# --- waiting and looking ------------------------------------------------------------------------------------------


def wait(context: Context, step: Step, nodes: list[str]) -> StepResult:
    until = str(step.fields["until"])
    budget_s = step.timing.within_s or 5.0
    try:
        wait_until(
            lambda: WAITS[until](context, step, nodes),
            Deadline.after(budget_s),
            f"{', '.join(nodes)} to be {until}",
        )
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
    aspect = next(name for name in CHECKS if name in step.fields)
    return CHECKS[aspect](context, step, nodes)


def _check_state(context: Context, step: Step, nodes: list[str]) -> StepResult:
    if not context.state.baseline:
        return StepResult(
            Verdict.INVALID, "no write was accepted before, so there is no state to compare with"
        )
    compare = {"unchanged": _unchanged, "same": _all_same}[str(step.fields["state"])]
    problems = []
    for key in list(context.state.baseline):
        now = context.state.read(key, step=step.id, phase="check")
        problems += compare(context, key, {node: now.get(node) for node in nodes})
    return worst_result(problems or [PASSED])


def _unchanged(context: Context, key: str, now: dict) -> list[StepResult]:
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


def _all_same(context: Context, key: str, now: dict) -> list[StepResult]:
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


STEPS: dict[str, Verb] = {
    "put": client_verb,
    "get": client_verb,
    "delete": client_verb,
    "raw": client_verb,
    "start": start,
    "stop": stop,
    "restart": restart,
    "kill": kill,
    "wait": wait,
    "sleep": sleep,
    "check": check,
}
