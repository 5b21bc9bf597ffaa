"""The Python API of a running cluster: `cluster.leader.put("k", "v")`, `with node.paused():`.

Every call is a step of the run. The journal has it with the line of the test, so that proof and
timeline show the test like a scenario, and the runner executes it like a step of a scenario.
Replies are values; nothing is asserted here.
"""

from __future__ import annotations

import contextlib
import linecache
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from kvsim.checks.verdict import Verdict
from kvsim.client.exchange import Request
from kvsim.config.program import Role
from kvsim.config.scenario import Step, Timing
from kvsim.config.target import Target, named
from kvsim.config.yaml_nodes import SourceLocation
from kvsim.errors import NodeFailed, UsageError
from kvsim.faults.clock import ClockSettings
from kvsim.faults.disk import CALLS, DEFAULT_DELAY_S, HOW, DiskSettings
from kvsim.faults.fault import Fault, inject
from kvsim.faults.kill import KillSettings
from kvsim.faults.network import LinkFault
from kvsim.faults.registry import AtSettings, NoTarget, fault_kinds
from kvsim.history.outcome import OutcomeKind, Reason
from kvsim.history.run_record import RequestRecord
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node
from kvsim.network.links import Flow
from kvsim.network.partitions import flows_between
from kvsim.network.rules import LinkRule
from kvsim.runner.context import PASSED, Context, failed
from kvsim.runner.roles import RoleObservation, describe_roles, leaders
from kvsim.runner.runner import begin_step, end_step, run_step
from kvsim.runner.steps.faults import FaultStep, build_context
from kvsim.runner.steps.processes import KillStep, RestartStep, StartStep, StopStep
from kvsim.runner.steps.requests import PROMOTE_S, RequestStep, send
from kvsim.runner.targets import ResolvedTarget
from kvsim.text import decode_log
from kvsim.timeouts import DefaultTimeout
from kvsim.waiting import Deadline, TimedOut, wait_until

NO_LINKS = (
    "links cannot be broken here: write `links: proxied` or `links: netns` in the cluster file"
)
NO_PRELOAD = (
    "disks and clocks cannot be broken here: open the cluster with `cluster_factory(preload=True)`"
)


class Reply(Struct, frozen=True):
    """One request and its outcome.

    Exactly one of `ok`, `refused` (it certainly did not happen) and `unknown` (it may have
    happened) is true. `value` is the value that was read, or that a compare-and-set found; None
    when there is none. `found` is False for "no such key" and None when the reply does not show it;
    `matched` is False when a compare-and-set found another value than the expected one. `leader` is
    the node that a refusal named (or the address, when no node has it). `sent` and `received` are
    the bytes.
    """

    node: str
    verb: str
    kind: OutcomeKind
    reason: Reason | None
    value: str | None
    found: bool | None
    leader: str | None
    sent: bytes
    received: bytes
    latency_ms: float
    detail: str
    matched: bool | None = None

    @property
    def ok(self) -> bool:
        """The node did what was asked; "no such key" and "no match" are answers too."""
        return self.kind is OutcomeKind.OK

    @property
    def refused(self) -> bool:
        """It certainly did not happen."""
        return self.kind is OutcomeKind.REFUSED

    @property
    def unknown(self) -> bool:
        """It may have happened: a time-out, a reset, a reply that no rule matches."""
        return self.kind is OutcomeKind.UNKNOWN

    def __bool__(self) -> bool:
        raise TypeError("a reply is neither true nor false: use .ok, .refused or .unknown")

    def __str__(self) -> str:
        reason = f" ({self.reason})" if self.reason else ""
        return f"{self.node} {self.verb}: {self.kind}{reason} {self.received!r}"


PACKAGE = str(Path(__file__).parent)
CONTEXTLIB = "contextlib.py"


class Caller(Struct, frozen=True):
    """A line of Python."""

    file: str
    line: int
    text: str


def caller(test_file: str) -> Caller:
    """The innermost line of `test_file` on the stack.

    When there is none, the innermost line outside this package.
    """
    outside = None
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        if file == test_file:
            return _caller(file, frame.f_lineno)
        if outside is None and not file.startswith(PACKAGE) and not file.endswith(CONTEXTLIB):
            outside = _caller(file, frame.f_lineno)
        if frame.f_back is None:
            break
        frame = frame.f_back
    return outside or Caller(test_file, 0, "")


def _caller(file: str, line: int) -> Caller:
    return Caller(file, line, linecache.getline(file, line).strip())


class LiveCluster:
    """A cluster of real processes that a test drives.

    Roles are observed each time, never remembered.
    """

    def __init__(self, context: Context, title: str) -> None:
        self._context = context
        self._title = title
        self._step_count = 0
        self.nodes: dict[str, LiveNode] = {
            name: LiveNode(self, name) for name in context.launcher.nodes
        }

    def __repr__(self) -> str:
        return f"<cluster of {', '.join(self.nodes)} in {self.run_directory}>"

    def __getitem__(self, name: str) -> LiveNode:
        """One node by its name. Raises KeyError."""
        return self.nodes[name]

    @property
    def run_directory(self) -> Path:
        """The folder of logs and journal and, once the cluster is closed, proof and timeline."""
        return self._context.run.path

    @property
    def seed(self) -> int:
        """The seed of the run, for the test's own draws."""
        return self._context.seed

    @property
    def leader(self) -> LiveNode:
        """The node that reports now that it is the leader.

        Raises UsageError when there is none, or several.
        """
        found = leaders(self.observe_roles())
        if len(found) != 1:
            reported = describe_roles(self._context.roles)
            raise UsageError(f"expected exactly one leader: {reported}")
        return self.nodes[found[0]]

    @property
    def followers(self) -> list[LiveNode]:
        """The nodes that are up and report now that they are followers."""
        return [
            self.nodes[name]
            for name, observed in self.observe_roles().items()
            if observed.up and observed.role is Role.FOLLOWER
        ]

    def wait_for_leader(self, within_s: float = DefaultTimeout(5.0)) -> LiveNode:
        """Wait until exactly one node reports that it is the leader. Raises NodeFailed."""

        def has_one_leader() -> bool:
            return len(leaders(self.observe_roles())) == 1

        deadline = Deadline.after(self._context.launcher.timeouts.of(within_s))
        try:
            wait_until(has_one_leader, deadline, "one leader")
        except TimedOut as error:
            reported = describe_roles(self._context.roles)
            raise NodeFailed("", f"no leader: {error}; {reported}") from None
        return self.leader

    def observe_roles(self) -> dict[str, RoleObservation]:
        """Ask every node for its role now; by node name."""
        return self._context.observe_roles(self._step_id)

    # --- faults ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def paused(self, *nodes: LiveNode) -> Iterator[None]:
        """Every process of the nodes is stopped (SIGSTOP) inside the block.

        At its end they continue, and answer again.
        """
        with self._fault("pause", AtSettings(_target(nodes)), nodes):
            yield

    @contextlib.contextmanager
    def killed(self, *nodes: LiveNode, signal: str = "KILL") -> Iterator[None]:
        """The nodes are dead inside the block; at its end they are started again."""
        with self._fault("kill", KillSettings(_target(nodes), signal, None), nodes):
            yield

    @contextlib.contextmanager
    def disk(
        self,
        *nodes: LiveNode,
        how: str,
        calls: Sequence[str] = tuple(CALLS),
        percent: int = 100,
        by_s: float = DEFAULT_DELAY_S,
    ) -> Iterator[None]:
        """The disks of the nodes are `full`, `failing` or `slow` inside the block.

        `percent` of the `calls` (among write and sync) of a failing disk fail; each sync of a slow
        disk takes `by_s` longer. Raises UsageError for an unknown `how` or call, and where the
        cluster was not opened with `preload`.
        """
        if how not in HOW:
            raise UsageError(f"disk: {how!r}: expected {', '.join(HOW)}")
        for call in calls:
            if call not in CALLS:
                raise UsageError(f"disk: {call!r}: expected {', '.join(CALLS)}")
        settings = DiskSettings(_target(nodes), how, tuple(calls), percent, by_s)
        with self._fault("disk", settings, nodes):
            yield

    @contextlib.contextmanager
    def clock(self, *nodes: LiveNode, by_s: float, rate: float = 1.0) -> Iterator[None]:
        """The wall clocks of the nodes are wrong by `by_s` seconds, and run `rate` times as fast,
        inside the block. Raises UsageError where the cluster was not opened with `preload`.
        """
        with self._fault("clock", ClockSettings(_target(nodes), by_s, rate), nodes):
            yield

    @contextlib.contextmanager
    def partition(self, *sides: Sequence[LiveNode]) -> Iterator[None]:
        """Nodes of different sides cannot reach each other inside the block; clients reach all.

        Raises UsageError where the cluster file has neither `links: proxied` nor `links: netns`.
        Its evidence is traffic between the sides that did not arrive.
        """
        names = [tuple(node.name for node in side) for side in sides]
        with self.broken_flows(flows_between(names), "cut"):
            yield

    @contextlib.contextmanager
    def broken_flows(self, flows: Sequence[Flow], how: str) -> Iterator[LinkFault]:
        """These flows (from, to) are `cut` or `blackhole` inside the block; an end may be `client`.

        Raises UsageError as `partition`.
        """
        if self._context.links is None:
            raise UsageError(NO_LINKS)
        fault = LinkFault("partition", tuple(flows), LinkRule(how), self._context.links)
        step = self._new_step("fault")
        with self._injected(Step(**step), fault, fault.nodes):
            yield fault

    @contextlib.contextmanager
    def _fault(self, kind: str, settings: Any, nodes: Sequence[LiveNode]) -> Iterator[None]:
        """A fault of one of the kinds that scenarios have, on these nodes."""
        names = tuple(node.name for node in nodes)
        declaration = fault_kinds()[kind]
        if declaration.preloads and self._context.preload is None:
            raise UsageError(NO_PRELOAD)
        step = FaultStep(
            **self._new_step("fault"),
            kind=declaration,
            settings=settings,
            evidence="required",
        )
        try:
            fault = declaration.build(build_context(self._context, step), settings)
        except NoTarget as error:
            raise UsageError(str(error)) from None
        with self._injected(step, fault, names):
            yield

    @contextlib.contextmanager
    def _injected(self, step: Step, fault: Fault, nodes: Sequence[str]) -> Iterator[None]:
        """The fault lasts for the block. Raises NodeFailed when a node does not recover."""
        traits = fault_kinds()[fault.kind].traits
        with (
            self._recorded(step, nodes),
            self._context.fault_on(fault.nodes),
            inject(fault, self._context.journal.write, step=step.id, traits=traits) as injection,
        ):
            yield
        if injection.unrecovered:
            raise NodeFailed(fault.nodes[0], "; ".join(injection.unrecovered))

    # --- steps -------------------------------------------------------------------------------

    @property
    def _step_id(self) -> str:
        return f"1.{self._step_count}"

    def _new_step(self, verb: str) -> dict[str, Any]:
        """The fields that every step has, for the line of the test that made the call."""
        self._step_count += 1
        line = caller(str(self._context.scenario.path))
        return {
            "id": self._step_id,
            "verb": verb,
            "location": SourceLocation(line.file, line.line, 1),
            "text": line.text,
        }

    @contextlib.contextmanager
    def _recorded(self, step: Step, nodes: Sequence[str]) -> Iterator[None]:
        """Journal the block as one step."""
        begin_step(self._context, self._title, step, ResolvedTarget(tuple(nodes)))
        result = PASSED
        try:
            yield
        except NodeFailed as error:
            result = failed(str(error))
            raise
        finally:
            end_step(self._context, step, result)

    def _run(self, step: Step, node: str) -> None:
        """Run one step on a node. Raises NodeFailed when it fails."""
        result = run_step(self._context, self._title, step, ResolvedTarget((node,)))
        if result.verdict is not Verdict.PASS:
            raise NodeFailed(node, result.why)

    def _ask(self, node: str, request: Request, timeout_s: float | None) -> Reply:
        """Send one request as a step. Raises UsageError when the program has no such request."""
        known = self._context.launcher.nodes[node].program.requests
        if request.verb != "raw" and request.verb not in known:
            names = ", ".join(sorted(known))
            raise UsageError(f"{node}: its program has no `{request.verb}`; it has {names}")
        step = RequestStep(**self._new_step(request.verb), at=named((node,)))
        self.observe_roles()
        with self._recorded(step, (node,)):
            record = send(self._context, step.id, node, request, within_s=timeout_s)
        return self._reply(record)

    def _reply(self, record: RequestRecord) -> Reply:
        outcome = record.outcome
        address = outcome.leader
        return Reply(
            node=record.node,
            verb=record.verb,
            kind=outcome.kind,
            reason=outcome.reason,
            value=outcome.value,
            found=outcome.found,
            leader=(self._context.launcher.node_at(address) or address) if address else None,
            sent=record.sent,
            received=record.received,
            latency_ms=record.latency_ms,
            detail=outcome.detail,
            matched=outcome.matched,
        )


class ClusterFactory(Protocol):
    """The type of the pytest fixture `cluster_factory`: each call starts another cluster."""

    def __call__(
        self,
        cluster: str | Path | None = None,
        *,
        program: str | None = None,
        judge: bool = True,
        preload: bool = False,
        **options: str | int | float,
    ) -> LiveCluster:
        """A running cluster of the file `cluster`; by default that of the ini `kvsim_cluster`."""
        ...


def _target(nodes: Sequence[LiveNode]) -> Target:
    return named(tuple(node.name for node in nodes))


class LiveNode:
    """One node of a running cluster."""

    def __init__(self, cluster: LiveCluster, name: str) -> None:
        self._cluster = cluster
        self.name = name

    def __repr__(self) -> str:
        return f"<node {self.name} at {self.address}>"

    @property
    def address(self) -> str:
        """host:port, as its clients reach it."""
        host, port = self._node.address.host_port
        return f"{host}:{port}"

    @property
    def role(self) -> str | None:
        """The role that it reports now: `leader`, `follower`, or None when it reports none or is
        down.
        """
        observed = self._cluster.observe_roles()[self.name]
        return str(observed.role) if observed.up and observed.role else None

    @property
    def up(self) -> bool:
        """Whether its process is alive."""
        return self._node.up

    @property
    def pid(self) -> int | None:
        """The process of its last start; None when it was never started."""
        return self._node.process.pid if self._node.process else None

    @property
    def log(self) -> str:
        """What its last start has logged until now."""
        return decode_log(self._node.log_path.read_bytes())

    def put(self, key: str, value: str, *, timeout_s: float | None = None) -> Reply:
        """Ask this node to store a value.

        Before and after, the key is read on every node, so that checks can judge the write.
        """
        return self._ask("put", {"key": key, "value": value}, timeout_s)

    def get(self, key: str, *, timeout_s: float | None = None) -> Reply:
        """Ask this node for a value."""
        return self._ask("get", {"key": key}, timeout_s)

    def delete(self, key: str, *, timeout_s: float | None = None) -> Reply:
        """Ask this node to remove a key. As `put` otherwise."""
        return self._ask("delete", {"key": key}, timeout_s)

    def cas(self, key: str, expected: str, value: str, *, timeout_s: float | None = None) -> Reply:
        """Ask this node to store a value if the key holds `expected` (compare-and-set).

        As `put` otherwise.
        """
        return self._ask("cas", {"key": key, "expected": expected, "value": value}, timeout_s)

    def promote(self, *, timeout_s: float | None = PROMOTE_S) -> Reply:
        """Make this node the leader, by its program's request `promote`."""
        return self._ask("promote", {}, timeout_s)

    def raw(self, request: bytes, *, timeout_s: float | None = None) -> Reply:
        """Send these bytes and wait for one reply."""
        return self._cluster._ask(self.name, Request("raw", payload=request), timeout_s)

    def start(self, within_s: float | None = None) -> None:
        """Start it and wait until it is ready. Raises NodeFailed."""
        self._run(StartStep(**self._new_step("start", within_s)))

    def stop(self) -> None:
        """Stop it by its program's stop sequence, and wait for its end. Raises NodeFailed."""
        self._run(StopStep(**self._new_step("stop")))

    def restart(self, within_s: float | None = None) -> None:
        """Stop it and start it again on the same data. Raises NodeFailed."""
        self._run(RestartStep(**self._new_step("restart", within_s)))

    def kill(self, signal: str = "KILL") -> None:
        """Send a signal and wait until it is dead. Raises NodeFailed when it survives."""
        self._run(KillStep(**self._new_step("kill"), signal=signal))

    def paused(self) -> contextlib.AbstractContextManager[None]:
        """It is stopped (SIGSTOP) inside the block: connections stay open, nothing is answered."""
        return self._cluster.paused(self)

    def killed(self, signal: str = "KILL") -> contextlib.AbstractContextManager[None]:
        """It is dead inside the block, and started again at its end."""
        return self._cluster.killed(self, signal=signal)

    def _ask(self, verb: str, fields: dict[str, str], timeout_s: float | None) -> Reply:
        return self._cluster._ask(self.name, Request(verb, fields), timeout_s)

    def _new_step(self, verb: str, within_s: float | None = None) -> dict[str, Any]:
        fields = self._cluster._new_step(verb)
        return {**fields, "at": named((self.name,)), "timing": Timing(within_s=within_s)}

    def _run(self, step: Step) -> None:
        self._cluster._run(step, self.name)

    @property
    def _launcher(self) -> Launcher:
        return self._cluster._context.launcher

    @property
    def _node(self) -> Node:
        return self._launcher.nodes[self.name]
