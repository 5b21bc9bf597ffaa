"""The verb `load`: start and stop clients that work beside the steps. Makes the plan; kvsim/load/ carries it out."""

from __future__ import annotations

import contextlib
from functools import partial

from kvsim.config.program import Role
from kvsim.config.scenario import Step
from kvsim.errors import RunInvalid
from kvsim.limits import spent
from kvsim.load.child import LoadProcess
from kvsim.load.plan import LoadPlan, NodePlan
from kvsim.scenario.context import PASSED, Context, StepResult, failed
from kvsim.scenario.roles import leaders

PROCESSES_EACH = 1_000_000  # numbers of clients that one load may use up
FOLLOWING = frozenset({"leader", "follow redirects"})


def load(context: Context, step: Step, nodes: list[str]) -> StepResult:
    """Start or stop the load that the step names."""
    if step.fields.get("start"):
        return _start(context, step, str(step.fields["start"]))
    return stop(context, str(step.fields["stop"]))


def _start(context: Context, step: Step, name: str) -> StepResult:
    if name in context.keys_of_loads:
        return failed(f"a load called {name} was started before")
    plan = _plan(context, step, name)
    if plan is None:
        return failed(
            f"load {name} has nobody to ask: no node is {step.fields.get('reads') or step.fields['at']}"
        )
    context.run.load(name).parent.mkdir(exist_ok=True)
    minima = step.fields.get("minima") or {}
    context.journal.write(
        "load_start",
        id=step.id,
        name=name,
        epoch_ns=context.journal.epoch_ns,
        clients=plan.clients,
        mix=dict(plan.mix),
        keys=list(plan.keys[:20]),
        key_count=len(plan.keys),
        at=str(step.fields["at"]),
        reads=step.fields.get("reads"),
        writes_at=list(plan.writes_at),
        reads_at=list(plan.reads_at),
        rate=plan.rate,
        timeout_s=plan.timeout_s,
        minima=dict(minima),
    )
    context.keys_of_loads[name] = plan.keys
    heard = partial(_so_far, context, name)
    context.loads[name] = LoadProcess(plan, heard, context.launcher.limits)
    return PASSED


def _so_far(context: Context, name: str, made: int) -> None:
    """How far a load is; a journal that cannot be written is found broken by whoever writes to it next."""
    with contextlib.suppress(RunInvalid):
        context.journal.write("load_made", name=name, made=made)


def stop(context: Context, name: str) -> StepResult:
    """Stop one load and note what came of its operations."""
    process = context.loads.pop(name, None)
    if process is None:
        return failed(f"no load called {name} is running")
    counts = process.stop()
    context.journal.write("load_stop", name=name, counts=counts)
    timeout_s = process.plan.timeout_s
    context.journal.write("limit", **spent("request", f"load {name}", counts["slowest_s"], timeout_s))
    return PASSED


def _plan(context: Context, step: Step, name: str) -> LoadPlan | None:
    fields = step.fields
    number = len(context.keys_of_loads) + 1
    at, reads = str(fields["at"]), fields.get("reads")
    writes_at = _dealt(context, at)
    reads_at = _dealt(context, str(reads)) if reads else writes_at
    if not writes_at or not reads_at:
        return None
    return LoadPlan(
        name=name,
        out=context.run.load(name),
        nodes=tuple(_node(context, node) for node in context.launcher.nodes),
        writes_at=writes_at,
        reads_at=reads_at,
        follow=at in FOLLOWING,
        clients=int(fields["clients"]),
        mix=fields["mix"],
        keys=tuple(f"{name}-{context.seed}-{place}" for place in range(int(fields["keys"]))),
        skew=float(fields["skew"]),
        rate=fields.get("rate"),
        timeout_s=float(fields["timeout"]),
        seed=f"{context.seed}:{name}",
        process=number * PROCESSES_EACH,
        tag=f"{name}-{context.seed % 10_000:04d}-",
    )


def _dealt(context: Context, where: str) -> tuple[str, ...]:
    """The nodes that clients begin at, in turn."""
    everybody = tuple(context.launcher.nodes)
    if where == "leader":
        return tuple(leaders(context.seen)) or everybody
    if where == "each follower":
        return tuple(name for name, one in context.seen.items() if one.role is Role.FOLLOWER)
    return everybody


def _node(context: Context, name: str) -> NodePlan:
    launcher = context.launcher
    place = launcher.places[name]
    host, port = launcher.client_address(name)
    return NodePlan(
        name=name,
        host=host,
        port=port,
        program=place.node.program,
        id=place.node.id,
        names=launcher.client_names(name),
        ports=launcher.ports_of(name),
    )
