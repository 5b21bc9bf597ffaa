"""The verbs put, get, delete, cas, promote and raw: one request to each node, judged by the expectation and the time modifier."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from functools import partial

from kvsim.checks.expectations import Seen, judge
from kvsim.client.exchange import Request
from kvsim.config.names import REQUEST_FIELDS
from kvsim.config.scenario import Expectation, Step
from kvsim.config.template import render, render_pattern
from kvsim.config.wire_text import to_bytes
from kvsim.history.outcome import Kind
from kvsim.history.record import WRITES, Operation
from kvsim.scenario.context import PASSED, Context, StepResult, worst_result
from kvsim.scenario.readback import Values
from kvsim.scenario.roles import leaders
from kvsim.scenario.timing import timed
from kvsim.waiting import Deadline, TimedOut, wait_until


def client_verb(context: Context, step: Step, nodes: list[str]) -> StepResult:
    """put, get, delete, cas, promote, raw: the same request to each node, judged by the expectation and the time modifier."""
    met = partial(context.note_limit, "eventually", f"step {step.id}")
    return worst_result(
        [timed(lambda node=node: _once(context, step, node), step.timing, met) for node in nodes]
    )


def _once(context: Context, step: Step, node: str) -> StepResult:
    request = _request(context, step)
    key = request.fields.get("key", "")
    if step.verb in WRITES:
        context.state.read(key, step=step.id, phase="before")
    operation = context.sessions.ask(node, request, step=step.id, timeout_s=step.timing.within_s)
    leader = _redirected_to(context, step, operation)
    if leader is not None:
        if step.verb in WRITES:
            context.state.read(key, step=step.id, phase="after")  # what the refused write left behind
        operation = context.sessions.ask(leader, request, step=step.id, purpose="follow")
    if step.verb in WRITES:
        _read_after(context, step, operation, key)
    return _judge(context, step, operation)


def _request(context: Context, step: Step) -> Request:
    if step.verb == "raw":
        return Request("raw", payload=to_bytes(context.fill(step.fields["send"])))
    return Request(step.verb, {name: context.fill(step.fields[name]) for name in REQUEST_FIELDS[step.verb]})


def _redirected_to(context: Context, step: Step, operation: Operation) -> str | None:
    """With `follow: redirects`, the node that a refusal named."""
    if not step.fields.get("follow") or operation.outcome.kind is not Kind.REFUSED:
        return None
    return context.launcher.node_at(operation.outcome.leader)


def _read_after(context: Context, step: Step, operation: Operation, key: str) -> None:
    """What the write left behind. An accepted write on a follower gets the cluster's lag to reach the leader."""
    values = context.state.read(key, step=step.id, phase="after")
    if operation.outcome.kind is not Kind.OK:
        return
    true_leaders = leaders(context.seen)
    took_it = operation.outcome.done  # a delete that found nothing has nothing to pass on, nor has a mismatch
    if took_it and operation.node not in true_leaders and true_leaders:
        values = _settle(context, step, operation, true_leaders[0], key)
    context.state.remember(key, values)


def _settle(context: Context, step: Step, operation: Operation, leader: str, key: str) -> Values:
    values: Values = {}

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
