"""The verbs put, get, delete, cas, promote and raw: one request to each node.

The expectation and the time modifier of the step judge the reply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from kvsim.checks.expectations import ObservedReply, check_expectation
from kvsim.checks.verdict import Verdict
from kvsim.client.exchange import Request
from kvsim.client.sendable import why_unsendable
from kvsim.config.cluster import Cluster
from kvsim.config.node_states import NodeStates
from kvsim.config.scenario import Expectation, TargetedStep
from kvsim.config.scenario_schema import REQUIRED
from kvsim.config.schema import WRONG, Choice, Field, ScalarSchema, Text, Validation
from kvsim.config.target import TargetSchema, parse_target
from kvsim.config.template import STEP_SCOPE, TemplateError, render, render_pattern, to_bytes
from kvsim.config.yaml_nodes import Scalar
from kvsim.history.outcome import OutcomeKind
from kvsim.history.run_record import WRITE_VERBS, RequestRecord
from kvsim.runner.context import PASSED, Context, StepResult, StepVerb, worst_result
from kvsim.runner.replication import read_after
from kvsim.runner.roles import only_leader
from kvsim.runner.steps.timing import MODIFIERS, run_timed
from kvsim.timeouts import DefaultTimeout

# Expectations that only an answer of the node can meet.
ANSWERS = frozenset({"ok", "value", "not_found", "mismatch", "served"})
# A promotion may have to wait until no node takes the old leader for the leader.
PROMOTE_S = DefaultTimeout(10.0)
# What changes nothing on a node, so that the order of nodes cannot matter.
SIDE_BY_SIDE = frozenset({"get"})


class RequestStep(TargetedStep, frozen=True, kw_only=True):
    """One request to each node. `follow`: `redirects` when a refusal is followed to the leader."""

    follow: str | None = None

    def request_verbs(self) -> tuple[str, ...]:
        return (self.verb,)

    def texts(self) -> Mapping[str, str]:
        """The fields of the request, with variables that are not yet filled in."""
        return {}

    def mistakes(self, cluster: Cluster, fill: Callable[[str], str]) -> Iterator[str]:
        """What the protocol of a program cannot carry."""
        try:
            request = self.request(fill)
        except (TemplateError, ValueError) as error:
            yield str(error)
            return
        for program in {node.program.name: node.program for node in cluster.nodes}.values():
            problem = why_unsendable(program, request)
            if problem:
                yield problem
                return

    def begin(self, states: NodeStates) -> Iterator[str]:
        """A node that is down answers nothing."""
        if self.expect is not None and needs_answer(self.expect):
            for problem in states.down(states.reach(self.at).certain):
                yield f"{problem}, and nothing starts it: expect unreachable, or start it first"
        states.wrote = states.wrote or self.verb in WRITE_VERBS

    def request(self, fill: Callable[[str], str]) -> Request:
        return Request(self.verb, {name: fill(text) for name, text in self.texts().items()})


def needs_answer(expect: Expectation) -> bool:
    """Whether only an answer of the node can meet the expectation."""
    if expect.kind == "any_of":
        return all(map(needs_answer, expect.options))
    return expect.kind in ANSWERS


class KeyStep(RequestStep, frozen=True, kw_only=True):
    """A request for one key: a get or a delete."""

    key: str

    def texts(self) -> Mapping[str, str]:
        return {"key": self.key}


class GetStep(KeyStep, frozen=True, kw_only=True):
    """Read a key."""


class DeleteStep(KeyStep, frozen=True, kw_only=True):
    """Delete a key."""


class PutStep(KeyStep, frozen=True, kw_only=True):
    """Write a value."""

    value: str

    def texts(self) -> Mapping[str, str]:
        return {"key": self.key, "value": self.value}


class CasStep(KeyStep, frozen=True, kw_only=True):
    """Write a value if the key holds the expected one."""

    expected: str
    value: str

    def texts(self) -> Mapping[str, str]:
        return {"key": self.key, "expected": self.expected, "value": self.value}


class PromoteStep(RequestStep, frozen=True, kw_only=True):
    """Make the target the leader."""


class MemberStep(RequestStep, frozen=True, kw_only=True):
    """Add a node to the members that vote, or remove it, by a request to the leader.

    One of `add` and `remove` is the node's name.
    """

    add: str | None = None
    remove: str | None = None

    @property
    def request_verb(self) -> str:
        return "member_add" if self.add is not None else "member_remove"

    def request_verbs(self) -> tuple[str, ...]:
        return (self.request_verb,)

    def mistakes(self, cluster: Cluster, fill: Callable[[str], str]) -> Iterator[str]:
        if (self.add is None) == (self.remove is None):
            yield "give one of `add` and `remove`: the name of a node"
            return
        named = self.add or self.remove
        if named not in (names := [node.name for node in cluster.nodes]):
            yield f"there is no node {named}; the nodes are {', '.join(names)}"
            return
        yield from super().mistakes(cluster, fill)

    def texts(self) -> Mapping[str, str]:
        return {"member": self.add or self.remove or ""}

    def request(self, fill: Callable[[str], str]) -> Request:
        return Request(self.request_verb, dict(self.texts()))


class RawStep(RequestStep, frozen=True, kw_only=True):
    """Send bytes as they are. `send` is text that stands for them."""

    send: str

    def request_verbs(self) -> tuple[str, ...]:
        return ()

    def request(self, fill: Callable[[str], str]) -> Request:
        return Request("raw", payload=to_bytes(fill(self.send)))


# --- carrying out ----------------------------------------------------------------------------


def run_request(context: Context, step: RequestStep, nodes: list[str]) -> StepResult:
    """The same request to each node, judged by the expectation and the time modifier."""
    return run_timed(context, step, nodes, partial(_attempt_each, context, step, {}))


def _attempt_each(
    context: Context, step: RequestStep, met: dict[str, StepResult], nodes: list[str]
) -> StepResult:
    """One try at every node; with `eventually`, at those where the expectation is not yet met.

    Reads are sent side by side.
    """
    asked = [node for node in nodes if node not in met]
    if step.verb in SIDE_BY_SIDE and step.follow is None:
        request, within_s = step.request(context.fill), step.timing.within_s
        records = context.connections.ask_each(asked, request, step=step.id, timeout_s=within_s)
        results = [_judge(context, step, record) for record in records]
    else:
        results = [_attempt(context, step, node) for node in asked]
    by_node = dict(zip(asked, results, strict=True))
    if step.timing.eventually_s is not None:
        met |= {node: each for node, each in by_node.items() if each.verdict is Verdict.PASS}
    return worst_result([by_node.get(node) or met[node] for node in nodes])


def _attempt(context: Context, step: RequestStep, node: str) -> StepResult:
    record = send(
        context,
        step.id,
        node,
        step.request(context.fill),
        within_s=step.timing.within_s,
        follow=step.follow is not None,
    )
    return _judge(context, step, record)


def send(
    context: Context,
    step_id: str,
    node: str,
    request: Request,
    *,
    within_s: float | None = None,
    follow: bool = False,
) -> RequestRecord:
    """Send one request of a step to a node.

    `follow`: a refusal that names the leader is followed there; the record is then the leader's.
    Around a write its key is read on every node: the checks judge the write by that.
    """
    key = request.fields.get("key", "")
    is_write = request.verb in WRITE_VERBS
    if is_write:
        context.observed_state.read(key, step=step_id, phase="before")
    record = context.connections.ask(node, request, step=step_id, timeout_s=within_s)
    leader = _redirected_to(context, record) if follow else None
    if leader is not None:
        if is_write:
            # What the refused write left behind.
            context.observed_state.read(key, step=step_id, phase="after")
        record = context.connections.ask(leader, request, step=step_id, purpose="follow")
    if is_write:
        read_after(context, step_id, record)
    return record


def _redirected_to(context: Context, record: RequestRecord) -> str | None:
    """The node that a refusal named."""
    if record.outcome.kind is not OutcomeKind.REFUSED:
        return None
    return context.launcher.node_at(record.outcome.leader)


def _judge(context: Context, step: RequestStep, record: RequestRecord) -> StepResult:
    if step.expect is None:
        return PASSED
    named = record.outcome.leader
    reply = ObservedReply(
        record.outcome,
        reply=record.received.decode("utf-8", "replace"),
        leader_named=(context.launcher.node_at(named) or named) if named else None,
        leader_true=only_leader(context.roles),
    )
    miss = check_expectation(fill_expectation(step.expect, context.variables), reply)
    return PASSED if miss is None else StepResult(miss.verdict, f"{record.node}: {miss.why}")


def fill_expectation(expect: Expectation, variables: Mapping[str, str]) -> Expectation:
    """An expectation with the scenario's variables filled in."""
    value = expect.value
    if value is not None and expect.kind == "value":
        value = render(value, variables)
    elif value is not None and expect.kind == "reply":
        value = render_pattern(value, variables)
    return Expectation(
        kind=expect.kind,
        value=value,
        reason=expect.reason,
        names=expect.names,
        options=tuple(fill_expectation(option, variables) for option in expect.options),
    )


# --- declarations ----------------------------------------------------------------------------


class WireText(ScalarSchema):
    r"""Bytes as text with `\r \n \t \0 \\ \xHH`; kept as text, since it may have variables."""

    expected = "a text; \\r \\n \\t \\0 \\\\ and \\xHH stand for bytes"

    def parse(self, node: Scalar, validation: Validation) -> Any:
        try:
            to_bytes(node.text)
        except ValueError as error:
            validation.report(node, str(error))
            return WRONG
        validation.templates.append((node, STEP_SCOPE))
        return node.text

    def json_schema(self, defs: dict[str, Any]) -> dict[str, Any]:
        return {"type": ["string", "number", "boolean"]}


AT = Field(TargetSchema(), "the target", required=True)
KEY = Field(Text("a key", template=STEP_SCOPE, wire=True), "the key", required=True)
VALUE = Field(Text("a value", template=STEP_SCOPE, wire=True), "the value", required=True)
FOLLOW = Field(
    Choice({"redirects": "ask again at the node that a refusal names"}),
    "`redirects`: ask the leader when a refusal names it",
)
PUT = StepVerb(
    name="put",
    order=10,
    description="write a value",
    step=PutStep,
    run=run_request,
    fields={"at": AT, "key": KEY, "value": VALUE, "follow": FOLLOW},
    expect="ok",
    timing=MODIFIERS,
)
GET = StepVerb(
    name="get",
    order=20,
    description="read a key",
    step=GetStep,
    run=run_request,
    fields={"at": AT, "key": KEY, "follow": FOLLOW},
    expect="served",
    timing=MODIFIERS,
)
DELETE = StepVerb(
    name="delete",
    order=30,
    description="delete a key",
    step=DeleteStep,
    run=run_request,
    fields={"at": AT, "key": KEY, "follow": FOLLOW},
    expect="ok",
    timing=MODIFIERS,
)
CAS = StepVerb(
    name="cas",
    order=40,
    description="compare-and-set: write a value if the key holds the expected one",
    step=CasStep,
    run=run_request,
    fields={
        "at": AT,
        "key": KEY,
        "expected": Field(
            Text("a value", template=STEP_SCOPE, wire=True),
            "the value that the key must hold",
            required=True,
        ),
        "value": VALUE,
        "follow": FOLLOW,
    },
    expect="ok",
    timing=MODIFIERS,
)
PROMOTE = StepVerb(
    name="promote",
    order=50,
    description="make the target the leader, by the program's request `promote`",
    step=PromoteStep,
    run=run_request,
    fields={"at": AT},
    expect="ok",
    timing=MODIFIERS,
    within_s=PROMOTE_S,
    bare="at",
)
MEMBER = StepVerb(
    name="member",
    order=55,
    description="add a node to the members that vote, or remove one, by the program's requests "
    "`member_add` and `member_remove`",
    step=MemberStep,
    run=run_request,
    fields={
        "at": Field(
            TargetSchema(), "the target", default=parse_target("leader"), default_text="leader"
        ),
        "add": Field(Text("a node's name"), "the node that becomes a member"),
        "remove": Field(Text("a node's name"), "the node that is no member any more"),
    },
    expect="ok",
    timing=MODIFIERS,
    within_s=PROMOTE_S,
)
RAW = StepVerb(
    name="raw",
    order=60,
    description="send bytes as they are, without a line end",
    step=RawStep,
    run=run_request,
    fields={
        "at": AT,
        "send": Field(WireText(), "the bytes; variables are filled in", required=True),
    },
    expect=REQUIRED,
    timing=MODIFIERS,
)
