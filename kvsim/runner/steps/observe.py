"""The verbs wait, sleep and check: they change nothing; they wait for a state, or observe it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial

from msgspec import Struct

from kvsim.checks.expectations import describe
from kvsim.checks.verdict import Verdict
from kvsim.config.cluster import Cluster, NodeSpec
from kvsim.config.node_states import NodeStates
from kvsim.config.program import Role
from kvsim.config.protocol_schema import ROLE
from kvsim.config.scenario import Step, TargetedStep
from kvsim.config.schema import Choice, Duration, Field, Pattern, Text
from kvsim.config.target import ANY, MAJORITY, MINORITY, Target, TargetSchema, parse_target
from kvsim.config.template import STEP_SCOPE, render_pattern
from kvsim.launcher.readiness import Readiness
from kvsim.runner.connections import Values, same_value
from kvsim.runner.context import PASSED, Context, StepResult, StepVerb, failed, worst_result
from kvsim.runner.roles import describe_roles, leaders, only_leader
from kvsim.runner.steps.timing import MODIFIERS, resolve_again, run_timed
from kvsim.runner.targets import ResolvedTarget
from kvsim.timeouts import DefaultTimeout
from kvsim.waiting import Deadline, TimedOut, wait_until

WAIT_S = DefaultTimeout(5.0)

# --- wait ------------------------------------------------------------------------------------


class WaitStep(TargetedStep, frozen=True, kw_only=True):
    """Wait until the nodes are `ready`, `serving`, `gone`, `leader` or `leader_known`."""

    until: str

    def mistakes(self, cluster: Cluster, fill: Callable[[str], str]) -> Iterator[str]:
        if self.until == "leader_known" and not any(map(_names_leader, cluster.nodes)):
            name = cluster.nodes[0].program.name
            yield f"the status of program {name} names no leader (`leader` of `status`)"

    def begin(self, states: NodeStates) -> Iterator[str]:
        reach = states.reach(self.at)
        if self.until in ("ready", "serving"):
            for problem in states.down(reach.certain):
                yield f"{problem}, and nothing starts it"
        elif self.until == "gone":
            states.set(reach, False, self.location.line)


def _names_leader(node: NodeSpec) -> bool:
    status = node.program.status
    # A program that could not be read has no `start`.
    if not node.program.start:
        return True
    return status is not None and not {"leader", "leader_index0"}.isdisjoint(status.fields)


def wait(context: Context, step: WaitStep, nodes: list[str]) -> StepResult:
    deadline = Deadline.after(step.timing.within_s or WAIT_S)
    try:
        nodes = nodes or _wait_for_target(context, step, deadline)
    except TimedOut as error:
        return failed(str(error))
    what = f"{', '.join(nodes)} to be {step.until}"
    with WAITS[step.until](context, step, nodes) as condition:
        try:
            wait_until(condition.holds, deadline, what, last_observed=condition.last_observed)
        except TimedOut as error:
            return failed(str(error))
    context.note_timeout_use(f"wait until {step.until}", f"step {step.id}", deadline)
    return PASSED


def _wait_for_target(context: Context, step: WaitStep, deadline: Deadline) -> list[str]:
    """The nodes of the target, once it matches some. Raises TimedOut."""
    target = ResolvedTarget(())

    def matches() -> list[str]:
        nonlocal target
        target = resolve_again(context, step, target)
        return list(target.nodes)

    return wait_until(
        matches,
        deadline,
        f"`{step.at}` to match a node",
        last_observed=lambda: describe_roles(context.roles),
    )


class Condition(Struct, frozen=True):
    """A state to wait for, and what was observed instead, in words."""

    holds: Callable[[], bool]
    last_observed: Callable[[], str] = str


@contextlib.contextmanager
def _ready(context: Context, step: WaitStep, nodes: list[str]) -> Iterator[Condition]:
    """Every readiness probe of the program, for each node."""
    launcher = context.launcher
    pending = {
        name: Readiness.of(
            launcher.nodes[name],
            launcher.names(name),
            launcher.nodes[name].program.ready,
            launcher.timeouts,
        )
        for name in nodes
    }

    def is_ready(name: str) -> bool:
        return launcher.nodes[name].up and pending[name].reached()

    def last_observed() -> str:
        return "; ".join(
            f"{name}: {', '.join(probes.missing().values())}"
            if launcher.nodes[name].up
            else f"{name} is down"
            for name, probes in pending.items()
            if not is_ready(name)
        )

    try:
        yield Condition(lambda: all(map(is_ready, nodes)), last_observed)
    finally:
        for probes in pending.values():
            probes.close()


@contextlib.contextmanager
def _serving(context: Context, step: WaitStep, nodes: list[str]) -> Iterator[Condition]:
    def is_serving() -> bool:
        return all(context.connections.is_serving(name, step=step.id) for name in nodes)

    yield Condition(is_serving)


@contextlib.contextmanager
def _gone(context: Context, step: WaitStep, nodes: list[str]) -> Iterator[Condition]:
    yield Condition(lambda: not any(context.launcher.nodes[name].up for name in nodes))


@contextlib.contextmanager
def _leader(context: Context, step: WaitStep, nodes: list[str]) -> Iterator[Condition]:
    """Exactly one node of the target says that it is the leader."""

    def has_one_leader() -> bool:
        return len(set(nodes) & set(leaders(context.observe_roles(step.id)))) == 1

    yield Condition(has_one_leader, lambda: describe_roles(context.roles))


@contextlib.contextmanager
def _leader_known(context: Context, step: WaitStep, nodes: list[str]) -> Iterator[Condition]:
    """As many nodes as the target has name the node that leads now. Of `majority` and `any`, it
    does not matter which nodes these are.
    """
    asked = nodes if step.at.which not in DRAWN else list(context.launcher.nodes)

    def is_known() -> bool:
        roles = context.observe_roles(step.id)
        leader = only_leader(roles)
        known = [name for name in asked if roles[name].up and roles[name].names_leader(leader)]
        return leader is not None and len(known) >= len(nodes)

    yield Condition(is_known, lambda: _leaders_named(context, asked))


def _leaders_named(context: Context, nodes: list[str]) -> str:
    """`n1 reports leader, n2 reports follower and names n1, n3 is down`."""
    roles = [context.roles[name] for name in nodes]
    return ", ".join(
        f"{observed.node} {observed.describe()}"
        + (f" and names {observed.leader or 'no leader'}" if observed.up else "")
        for observed in roles
    )


# Targets that are so many nodes, whichever they are.
DRAWN = frozenset({MAJORITY, MINORITY, ANY})
WAITS: dict[
    str, Callable[[Context, WaitStep, list[str]], contextlib.AbstractContextManager[Condition]]
] = {
    "ready": _ready,
    "serving": _serving,
    "gone": _gone,
    "leader": _leader,
    "leader_known": _leader_known,
}

# --- sleep -----------------------------------------------------------------------------------


class SleepStep(Step, frozen=True, kw_only=True):
    """Let `seconds` pass."""

    seconds: float
    why: str

    def lasts_s(self) -> float | None:
        return self.seconds


def sleep(context: Context, step: SleepStep, nodes: list[str]) -> StepResult:
    time.sleep(step.seconds)
    return PASSED


# --- check -----------------------------------------------------------------------------------


class CheckStep(Step, frozen=True, kw_only=True):
    """Observe one of `state` (of `nodes`), `role` or `log` (both of `at`)."""

    state: str | None
    nodes: Target
    role: Role | None
    log: str | None
    at: Target | None

    def target(self) -> Target | None:
        return self.at or self.nodes

    def mistakes(self, cluster: Cluster, fill: Callable[[str], str]) -> Iterator[str]:
        if self.state == "same" and (self.nodes.single or len(cluster.nodes) == 1):
            yield "`same` compares two nodes or more"

    def begin(self, states: NodeStates) -> Iterator[str]:
        if self.state is None:
            return
        if not states.wrote:
            yield "no step before this one writes, so there is no state to compare with"
        yield from states.down(states.reach(self.nodes).certain)


def check(context: Context, step: CheckStep, nodes: list[str]) -> StepResult:
    return run_timed(context, step, nodes, partial(_check_once, context, step))


def _check_once(context: Context, step: CheckStep, nodes: list[str]) -> StepResult:
    if not nodes:
        return StepResult(Verdict.INVALID, "there is no node to observe")
    if step.state is not None:
        return _check_state(context, step, step.state, nodes)
    if step.role is not None:
        return _check_role(context, step, step.role, nodes)
    return _check_log(context, step.log or "", nodes)


def _check_state(context: Context, step: CheckStep, state: str, nodes: list[str]) -> StepResult:
    baseline = context.observed_state.baseline
    if not baseline:
        why = "no write was accepted before, so there is no state to compare with"
        return StepResult(Verdict.INVALID, why)
    if len(nodes) < 2 and state == "same":
        return StepResult(
            Verdict.INVALID, f"`same` compares two nodes or more, not {nodes[0]} alone"
        )
    compare = {"unchanged": _unchanged, "same": _same}[state]
    results: list[StepResult] = []
    for key in list(baseline):
        now = context.observed_state.read(key, step=step.id, phase="check")
        shown = {node: now[node] for node in nodes if node in now}
        results += [
            StepResult(Verdict.UNKNOWN, f"{node}: {key} could not be read back")
            for node in nodes
            if node not in now
        ]
        results += compare(context, key, shown)
    return worst_result(results or [PASSED])


def _unchanged(context: Context, key: str, now: Values) -> list[StepResult]:
    before = context.observed_state.baseline[key]
    leading = [now[name] for name in leaders(context.roles) if name in now]
    may_catch_up = context.cluster.lag.follower_has != "never"
    results = []
    for node, outcome in now.items():
        same = same_value(before.get(node), outcome)
        caught_up = may_catch_up and leading and same_value(leading[0], outcome)
        if same is None:
            results.append(StepResult(Verdict.UNKNOWN, f"{node}: {key} could not be read back"))
        elif not same and not caught_up:
            was, now_is = describe(before[node]), describe(outcome)
            results.append(failed(f"{node}: {key} was {was} and is {now_is}"))
    return results


def _same(context: Context, key: str, now: Values) -> list[StepResult]:
    results = []
    items = list(now.items())
    for node, outcome in items[1:]:
        first, expected = items[0]
        same = same_value(expected, outcome)
        if same is None:
            why = f"{key} could not be read on {first} and {node}"
            results.append(StepResult(Verdict.UNKNOWN, why))
        elif not same:
            shown = f"{first} shows {describe(expected)}, {node} {describe(outcome)}"
            results.append(failed(f"{key}: {shown}"))
    return results


def _check_role(context: Context, step: CheckStep, role: Role, nodes: list[str]) -> StepResult:
    roles = context.observe_roles(step.id)
    wrong = [roles[node] for node in nodes if roles[node].role is not role]
    found = ", ".join(f"{observed.node} {observed.describe()}" for observed in wrong)
    return failed(f"expected {role}: {found}") if wrong else PASSED


def _check_log(context: Context, log: str, nodes: list[str]) -> StepResult:
    pattern = render_pattern(log, context.variables)
    without = [node for node in nodes if not context.launcher.log_has(node, pattern)]
    if not without:
        return PASSED
    return failed(f"no line matching {pattern!r} in the log of {', '.join(without)}")


# --- declarations ----------------------------------------------------------------------------

WAIT = StepVerb(
    name="wait",
    order=70,
    description="wait for a state of the target",
    step=WaitStep,
    run=wait,
    fields={
        "at": Field(TargetSchema(), "the target", required=True),
        "until": Field(
            Choice(
                {
                    "ready": "every readiness probe of the program is true",
                    "serving": "a request is answered",
                    "gone": "the process and all that it started have ended",
                    "leader": "exactly one of its nodes says that it is the leader",
                    "leader_known": "its nodes name the same leader, which leads; with `at: "
                    "majority`, any majority of the nodes does",
                }
            ),
            "the state",
            required=True,
        ),
    },
    within_s=WAIT_S,
    waits_for_target=True,
)
SLEEP = StepVerb(
    name="sleep",
    order=80,
    description="let time pass; say why, since waiting for a condition is nearly always better",
    step=SleepStep,
    run=sleep,
    fields={
        "for": Field(Duration(), "how long", required=True, attribute="seconds"),
        "why": Field(Text("a reason"), "why no condition can be waited for", required=True),
    },
)
CHECK = StepVerb(
    name="check",
    order=90,
    description="observe the nodes from outside: their state, their role, their log",
    step=CheckStep,
    run=check,
    fields={
        "state": Field(
            Choice(
                {
                    "unchanged": "every node holds what it held before the group's refused writes",
                    "same": "the nodes hold the same",
                }
            ),
            "compare what the nodes hold",
        ),
        "nodes": Field(
            TargetSchema(),
            "whose state (with `state`)",
            default=parse_target("all"),
            default_text="all",
        ),
        "role": Field(ROLE, "the target says that it has this role"),
        "log": Field(Pattern(template=STEP_SCOPE), "the target's log has a line with this"),
        "at": Field(TargetSchema(), "the target (with `role` or `log`)"),
    },
    timing=MODIFIERS,
    one_of=("state", "role", "log"),
    together={"role": ("at",), "log": ("at",), "nodes": ("state",), "at": ("role|log",)},
)
