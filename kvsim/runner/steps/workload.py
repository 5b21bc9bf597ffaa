"""The verb `load`: start and stop clients that work beside the steps; and the end of such a run.

`kvsim.workload` carries a load out. At the end of a run its loads are stopped, then every key of
theirs is read on every node, after all faults have ended. Judges nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from kvsim.client.exchange import Request
from kvsim.client.side_by_side import side_by_side
from kvsim.config.cluster import Cluster
from kvsim.config.node_states import NodeStates
from kvsim.config.program import Program, Role
from kvsim.config.scenario import Step
from kvsim.config.schema import (
    WORD,
    Choice,
    Duration,
    Field,
    Int,
    MapOf,
    Record,
    Text,
    TimeLimit,
)
from kvsim.errors import RunInvalid
from kvsim.history.build import CLIENTS_OF_ONE_LOAD
from kvsim.history.outcome import OutcomeKind
from kvsim.history.run_record import CLOCK_GAP
from kvsim.runner.context import PASSED, Context, StepResult, StepVerb, invalid
from kvsim.runner.roles import leaders
from kvsim.runner.storm import FaultTargets
from kvsim.structs import to_dict
from kvsim.text import did_you_mean
from kvsim.timeouts import DefaultTimeout, timeout_usage
from kvsim.waiting import Deadline, TimedOut, wait_until

if TYPE_CHECKING:
    # Imported with the first load.
    from kvsim.workload.plan import LoadPlan, NodePlan

FINAL_READS = "final"
KEYS_NOTED_MAX = 20
# Clients of these loads go to the node that a refusal names.
FOLLOWING = frozenset({"leader", "follow redirects"})
# What a load does without where a program has no such request.
DISPENSABLE = frozenset({"delete"})
DEFAULT_MIX: Mapping[str, int] = MappingProxyType({"put": 50, "get": 50})


class LoadMinima(Struct, frozen=True):
    """With fewer operations than these, the run is invalid. Each is 1, except where noted.

    `cas`: None is 1 where the mix has compare-and-sets.
    """

    total: int = 1
    before: int = 1
    during: int = 1
    after: int = 1
    reads: int = 1
    cas: int | None = None

    def to_json(self) -> dict[str, int]:
        return {name: count for name, count in to_dict(self).items() if count is not None}


class LoadRequirements(Struct, frozen=True):
    """What the answered operations of a load must keep; None: not required.

    `rate` is in operations per second, of all clients together.
    """

    p50_s: float | None = None
    p95_s: float | None = None
    p99_s: float | None = None
    max_s: float | None = None
    rate: int | None = None

    def to_json(self) -> dict[str, float]:
        return {name: value for name, value in to_dict(self).items() if value is not None}


class LoadStep(Step, frozen=True, kw_only=True):
    """Start a load of a name, or stop it. `after` and `within_s` belong to the stop, all other
    fields to the start.

    `at` and `reads` say where clients write and read. `rate` is in operations per second of all
    clients; None is a closed loop. `skew` is a Zipf exponent. `reconnect`: a connection ends after
    so many operations. `after`: how many operations it shall have made before it is stopped, for
    which the step waits `within_s` at most.
    """

    start: str | None = None
    stop: str | None = None
    after: int = 0
    within_s: float = DefaultTimeout(20.0)
    clients: int = 5
    mix: Mapping[str, int] = field(default_factory=lambda: DEFAULT_MIX)
    keys: int = 10
    skew: float = 0.0
    rate: int | None = None
    at: str = "leader"
    reads: str | None = None
    reconnect: int | None = None
    timeout_s: float = DefaultTimeout(1.0)
    minima: LoadMinima | None = None
    require: LoadRequirements | None = None

    asks_every_program = True

    @property
    def verbs(self) -> list[str]:
        return [verb for verb, weight in self.mix.items() if weight]

    def request_verbs(self) -> tuple[str, ...]:
        needed = [verb for verb in self.verbs if verb not in DISPENSABLE] or self.verbs
        return tuple(needed) if self.start else ()

    def mix_for(self, programs: Iterable[Program]) -> Mapping[str, int]:
        """The mix without the dispensable verbs that a program lacks."""
        common = set.intersection(*(set(program.requests) for program in programs))
        kept = {
            verb: weight
            for verb, weight in self.mix.items()
            if verb in common or verb not in DISPENSABLE
        }
        return kept if any(kept.values()) else self.mix

    def mistakes(self, cluster: Cluster, fill: Callable[[str], str]) -> Iterator[str]:
        if self.start and not self.verbs:
            yield "every weight in `mix` is 0, so that no request is made"
        targets = FaultTargets.of(cluster)
        if "each follower" in (self.at, self.reads) and not targets.followers:
            yield f"`each follower` matches no node: cluster {cluster.name} has no follower"
        if "cas" in self.verbs and "put" not in self.verbs:
            yield "`cas` replaces values that the load itself wrote, so its mix needs `put` too"
        if "cas" not in self.verbs and self.minima is not None and self.minima.cas:
            yield "`minima` wants compare-and-sets, but `mix` has no `cas`"

    def begin(self, states: NodeStates) -> Iterator[str]:
        name, line = self.start or self.stop or "", self.location.line
        if self.start:
            if name in states.loads:
                yield f"a load called {name} is started before (line {states.loads[name]})"
            states.loads.setdefault(name, line)
        elif name not in states.loads:
            yield f"no load called {name} is started before{did_you_mean(name, states.loads)}"
        elif name in states.stopped:
            yield f"load {name} is stopped already (line {states.stopped[name]})"
        else:
            states.stopped[name] = line


# --- start and stop --------------------------------------------------------------------------


def load(context: Context, step: LoadStep, nodes: list[str]) -> StepResult:
    """Start or stop the load that the step names."""
    if step.start is not None:
        return _start(context, step, step.start)
    name = step.stop or ""
    if step.after and name in context.loads:
        # What it makes of its time is for the checks to judge: they say what they lacked.
        limit_s = context.launcher.timeouts.of(step.within_s)
        context.loads[name].wait_until_made(step.after, Deadline.after(limit_s))
    return stop(context, name)


def describe_load(step: LoadStep, programs: Iterable[Program], seed: int) -> dict[str, Any]:
    """The fields of a `load_start` event that follow from the step, the programs and the seed."""
    mix = dict(step.mix_for(programs))
    return {
        "name": step.start,
        "clients": step.clients,
        "mix": mix,
        "without": [verb for verb in step.verbs if verb not in mix],
        "keys": list(keys_of(step, seed)[:KEYS_NOTED_MAX]),
        "key_count": step.keys,
        "at": step.at,
        "reads": step.reads,
        "rate": step.rate,
        "reconnect": step.reconnect,
        "timeout_s": float(step.timeout_s),
        "minima": step.minima.to_json() if step.minima else {},
        "require": step.require.to_json() if step.require else {},
    }


def keys_of(step: LoadStep, seed: int) -> tuple[str, ...]:
    """The keys of a load."""
    return tuple(f"{step.start}-{seed}-{index}" for index in range(step.keys))


def _start(context: Context, step: LoadStep, name: str) -> StepResult:
    if name in context.load_keys:
        return invalid(f"a load called {name} was started before")
    plan = _plan(context, step, name)
    if plan is None:
        return invalid(f"load {name} has no node to ask: no node is {step.reads or step.at}")
    context.run.load(name).parent.mkdir(exist_ok=True)
    programs = [node.program for node in context.launcher.nodes.values()]
    context.journal.write(
        "load_start",
        id=step.id,
        epoch_ns=context.journal.epoch_ns,
        writes_at=list(plan.writes_at),
        reads_at=list(plan.reads_at),
        **describe_load(step, programs, context.seed),
    )
    context.load_keys[name] = plan.keys
    on_progress = partial(_note_progress, context, name)
    from kvsim.workload.worker_handle import LoadProcess

    context.loads[name] = LoadProcess(plan, on_progress, context.launcher.timeouts)
    return PASSED


def _note_progress(context: Context, name: str, made: int) -> None:
    """Note how many operations a load has made.

    A journal that cannot be written raises again when the runner writes to it.
    """
    with contextlib.suppress(RunInvalid):
        context.journal.write("load_made", name=name, made=made)


def stop(context: Context, name: str) -> StepResult:
    """Stop one load and note the outcomes of its operations."""
    process = context.loads.pop(name, None)
    if process is None:
        return invalid(f"no load called {name} is running")
    counts = process.stop()
    for began_ns, ended_ns in counts.pop("gaps"):
        began_s, ended_s = context.journal.since_s(began_ns), context.journal.since_s(ended_ns)
        context.journal.write(CLOCK_GAP, of=f"load {name}", began_s=began_s, ended_s=ended_s)
    for node, verb, reply in counts.pop("unrecognised"):
        context.journal.write("load_reply", name=name, node=node, verb=verb, reply=reply)
    context.journal.write("load_stop", name=name, counts=counts)
    usage = timeout_usage("request", f"load {name}", counts["slowest_s"], process.plan.timeout_s)
    context.journal.write("limit", **usage)
    return PASSED


def _plan(context: Context, step: LoadStep, name: str) -> LoadPlan | None:
    """The plan of a load; None when no node has the role that it asks."""
    number = len(context.load_keys) + 1
    writes_at = _nodes_at(context, step.at)
    reads_at = _nodes_at(context, step.reads) if step.reads else writes_at
    if not writes_at or not reads_at:
        return None
    from kvsim.workload.plan import LoadPlan

    return LoadPlan(
        name=name,
        out=context.run.load(name),
        nodes=tuple(_node_plan(context, node) for node in context.launcher.nodes),
        writes_at=writes_at,
        reads_at=reads_at,
        follow=step.at in FOLLOWING,
        clients=step.clients,
        mix=dict(step.mix_for(node.program for node in context.launcher.nodes.values())),
        keys=keys_of(step, context.seed),
        skew=step.skew,
        rate=step.rate,
        timeout_s=float(step.timeout_s),
        seed=f"{context.seed}:{name}",
        process=number * CLIENTS_OF_ONE_LOAD,
        presence=context.launcher.presence,
        reconnect=step.reconnect,
        tag=f"{name}-{context.seed % 10_000:04d}-",
    )


def _nodes_at(context: Context, at: str) -> tuple[str, ...]:
    """The nodes that clients begin at, in turn."""
    every_node = tuple(context.launcher.nodes)
    if at == "leader":
        return tuple(leaders(context.roles)) or every_node
    if at == "each follower":
        return tuple(
            name for name, observed in context.roles.items() if observed.role is Role.FOLLOWER
        )
    return every_node


def _node_plan(context: Context, name: str) -> NodePlan:
    launcher = context.launcher
    node = launcher.addresses[name].node
    host, port = launcher.client_address(name)
    from kvsim.workload.plan import NodePlan

    return NodePlan(
        name=name,
        host=host,
        port=port,
        program=node.program,
        id=node.id,
        names=launcher.client_names(name),
        ports=launcher.ports_of(name),
        hosts=launcher.hosts_of(name),
    )


# --- the end of a run ------------------------------------------------------------------------


def finish_loads(context: Context) -> None:
    """Stop every load that still runs and make the final reads.

    Followers that are guaranteed to catch up get the cluster's lag to do so. Raises RunInvalid when
    a load process failed.
    """
    for name in list(context.loads):
        stop(context, name)
    keys = [key for keys in context.load_keys.values() for key in keys]
    if not keys:
        return
    context.role_observer.observe("")
    limit_s = context.cluster.lag.within_s if _followers_catch_up(context) else 0.0
    reads = FinalReads(context, keys, Deadline.after(limit_s))
    # What was read last is for the checks to judge.
    with contextlib.suppress(TimedOut):
        wait_until(reads.agree, reads.deadline, "all nodes to show the same")
        if limit_s:
            usage = timeout_usage("agreement", "the final reads", reads.disagreed_s, limit_s)
            context.journal.write("limit", **usage)


def abandon_loads(context: Context) -> None:
    """Stop the loads that still run after an error ended the run; keep what they recorded.

    Raises nothing of theirs.
    """
    for name, process in list(context.loads.items()):
        try:
            stop(context, name)
        except RunInvalid:
            process.close()


def _followers_catch_up(context: Context) -> bool:
    return any(
        node.program.guarantees.get("follower_reads", "none") != "none"
        for node in context.launcher.nodes.values()
    )


# When a read was sent, in seconds after the beginning, and the kind and value of its outcome.
FinalRead = tuple[float, tuple[OutcomeKind, str | None]]


class FinalReads:
    """Read keys on every node that is up until all nodes answer the same for each.

    Every round reads only the keys that still differ. `disagreed_s` is when, after the beginning, a
    read was sent whose answer still differed: what the nodes have used of their time. The time that
    kvsim needs to read many keys is not theirs.
    """

    def __init__(self, context: Context, keys: Sequence[str], deadline: Deadline) -> None:
        self.context, self.deadline = context, deadline
        self.disagreed_s = 0.0
        self._pending = list(keys)
        self._abandoned = False

    def agree(self) -> bool:
        """Make one round, on all nodes side by side; whether no key differs any more."""
        nodes = [
            name
            for name, node in self.context.launcher.nodes.items()
            if node.up and "get" in node.program.requests
        ]
        # A thread for each node, not for each read: of thousands of keys, threads cost more than
        # they save.
        try:
            rows = side_by_side([partial(self._read_all, name, self._pending) for name in nodes])
        except BaseException:
            # Ctrl-C: the other threads have nothing to read any more.
            self._abandoned = True
            raise
        differing = []
        for key, *reads in zip(self._pending, *rows, strict=True):
            if len({shown for _, shown in reads}) != 1:
                differing.append(key)
                earliest_s = min((asked_s for asked_s, _ in reads), default=0.0)
                self.disagreed_s = max(self.disagreed_s, earliest_s)
        self._pending = differing
        return not differing

    def _read_all(self, name: str, keys: Sequence[str]) -> list[FinalRead]:
        """The keys on one node, one after another."""
        rows: list[FinalRead] = []
        try:
            for key in keys:
                if self._abandoned:
                    break
                rows.append(self._read(name, key))
        except BaseException:
            self._abandoned = True
            raise
        return rows

    def _read(self, name: str, key: str) -> FinalRead:
        asked_s = self.deadline.used_s()
        request = Request("get", {"key": key})
        found = self.context.connections.ask(name, request, step="", purpose=FINAL_READS)
        return asked_s, (found.outcome.kind, found.outcome.value)


# --- the declaration -------------------------------------------------------------------------

CLIENTS_AT = {
    "leader": "the node that is the leader when the load starts; clients follow the leadership",
    "follow redirects": "clients begin at any node and go where refusals point",
    "any": "clients are spread over all nodes and stay there",
    "each follower": "clients are spread over the followers and stay there",
}
NAME = Text("a name", pattern=WORD)
COUNT = Int(0, 10**9, "a number of operations")
MINIMA = Record(
    "minima",
    {
        "total": Field(COUNT, "operations in all", default=1, default_text="1"),
        "before": Field(COUNT, "before each fault", default=1, default_text="1"),
        "during": Field(COUNT, "during each fault", default=1, default_text="1"),
        "after": Field(COUNT, "after each fault", default=1, default_text="1"),
        "reads": Field(
            COUNT, "reads that showed a value which the load wrote", default=1, default_text="1"
        ),
        "cas": Field(
            COUNT,
            "compare-and-sets that met the expected value",
            default_text="1 where `mix` has some",
        ),
    },
    bare="total",
    result=LoadMinima,
)
REQUIREMENTS = Record(
    "require",
    {
        **{
            name: Field(Duration(), f"{what}", attribute=f"{name}_s")
            for name, what in {
                "p50": "half of the answers came within this time",
                "p95": "95 of 100 answers came within this time",
                "p99": "99 of 100 answers came within this time",
                "max": "every answer came within this time",
            }.items()
        },
        "rate": Field(Int(1, 10**9, "operations a second"), "at least so many were answered"),
    },
    result=LoadRequirements,
)
MIX = MapOf(
    Int(0, 1_000_000, "a weight"),
    key="put|get|delete|cas",
    key_expected="put, get, delete or cas",
    length_min=1,
)


class Skew(Text):
    """A Zipf exponent, read into a float."""

    def build(self, value: str) -> float:
        return float(value)


START_FIELDS = {
    "clients": Field(
        Int(1, 10_000, "a number of clients"),
        "clients, each with one request at a time",
        default=5,
        default_text="5",
    ),
    "mix": Field(
        MIX,
        "the weight of each verb; a program without `delete` gets no deletes; a cas expects the "
        "value that its client saw last, and is a get while its client saw none",
        default=DEFAULT_MIX,
        default_text="{put: 50, get: 50}",
    ),
    "keys": Field(
        Int(1, 1_000_000, "a number of keys"), "how many keys", default=10, default_text="10"
    ),
    "skew": Field(
        Skew("a number", pattern=r"[0-9]+(\.[0-9]+)?"),
        "Zipf exponent: 0 is uniform, 1 is usual",
        default=0.0,
        default_text="0",
    ),
    "rate": Field(
        Int(1, 1_000_000, "operations a second"),
        "of all clients together",
        default_text="a closed loop: each client asks again when it is answered",
    ),
    "reconnect": Field(
        Int(1, 1_000_000, "a number of operations"),
        "after so many operations a client closes its connection and opens another",
        default_text="connections stay open",
    ),
    "at": Field(
        Choice(CLIENTS_AT),
        "where clients write, and read unless `reads` says otherwise",
        default="leader",
        default_text="leader",
    ),
    "reads": Field(
        Choice({name: CLIENTS_AT[name] for name in ("any", "each follower")}),
        "where clients read",
        default_text="as `at`",
    ),
    "timeout": Field(
        TimeLimit(),
        "after this an operation is unknown",
        default=DefaultTimeout(1.0),
        default_text="1s",
        attribute="timeout_s",
    ),
    "minima": Field(MINIMA, "with fewer operations the run is invalid", default_text="1 each"),
    "require": Field(
        REQUIREMENTS,
        "how fast the store has to answer this load, on this machine: otherwise the run fails",
        default_text="measured, not judged",
    ),
}
LOAD = StepVerb(
    name="load",
    order=150,
    description="start or stop clients that work beside the steps; they are recorded, and judged "
    "by what the program guarantees",
    step=LoadStep,
    run=load,
    fields={
        "start": Field(NAME, "start a load of this name"),
        "stop": Field(
            NAME, "stop it; operations under way are answered first, or their outcome is unknown"
        ),
        "after": Field(
            COUNT,
            "stop it once it has made so many operations",
            default=0,
            default_text="at once",
        ),
        "within": Field(
            TimeLimit(),
            "stop it after this time, however many it has made",
            default=DefaultTimeout(20.0),
            default_text="20s",
            attribute="within_s",
        ),
        **START_FIELDS,
    },
    one_of=("start", "stop"),
    together={**dict.fromkeys(START_FIELDS, ("start",)), "after": ("stop",), "within": ("after",)},
)
