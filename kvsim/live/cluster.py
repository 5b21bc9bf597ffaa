"""The Python API of a running cluster: `cluster.leader.put("k", "v")`, `.followers`, `.kill()`, `with node.paused():` and so on.

Every call is a step of the run: journaled with the test's own line, so that proof and film tell the test like a scenario. Answers are
values; nothing is asserted here.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from kvsim.config.program import Role
from kvsim.errors import NodeFailed, UsageError
from kvsim.faults import down
from kvsim.faults.clock import Clock
from kvsim.faults.disk.fault import Disk
from kvsim.faults.disk.rule import CALLS, HOW, SLOW_S, Rule
from kvsim.faults.fault import Fault
from kvsim.faults.links import rules as links_rules
from kvsim.faults.links.fault import LinkFault
from kvsim.faults.pause import Pause
from kvsim.faults.preload.control import Control
from kvsim.faults.scope import scope
from kvsim.faults.subject import Subject
from kvsim.history.record import Operation
from kvsim.limits import Own
from kvsim.live.asking import ask
from kvsim.live.caller import caller
from kvsim.live.reply import Reply
from kvsim.live.sides import flows as across
from kvsim.scenario.context import Context
from kvsim.scenario.roles import RoleSeen, leaders
from kvsim.scenario.subjects import subject
from kvsim.scenario.targets import told
from kvsim.waiting import Deadline, TimedOut, wait_until

T = TypeVar("T")
PROMOTE_S = 10.0  # it may have to wait until nobody believes the old leader any more


class LiveCluster:
    """A cluster of real processes that a test drives. Roles are asked for each time, never remembered."""

    def __init__(self, context: Context, title: str) -> None:
        self._context = context
        self._title = title
        self._count = 0
        self.nodes: dict[str, LiveNode] = {name: LiveNode(self, name) for name in context.launcher.nodes}

    def __repr__(self) -> str:
        return f"<cluster of {', '.join(self.nodes)} in {self.run_directory}>"

    def __getitem__(self, name: str) -> LiveNode:
        """One node by its name. Raises KeyError."""
        return self.nodes[name]

    @property
    def run_directory(self) -> Path:
        """Where everything is recorded: logs, journal and, when the cluster is closed, proof and film."""
        return self._context.run.path

    @property
    def seed(self) -> int:
        """The seed of the run, for draws of one's own."""
        return self._context.seed

    @property
    def leader(self) -> LiveNode:
        """The one node that says now that it is the leader. Raises UsageError when none or several do."""
        found = leaders(self.look())
        if len(found) != 1:
            raise UsageError(f"there is not one leader: {told(self._context.seen)}")
        return self.nodes[found[0]]

    @property
    def followers(self) -> list[LiveNode]:
        """The nodes that are up and say now that they are followers."""
        seen = self.look().values()
        return [self.nodes[one.node] for one in seen if one.up and one.role is Role.FOLLOWER]

    def wait_for_leader(self, within_s: float = Own(5.0)) -> LiveNode:
        """Wait until exactly one node says that it is the leader. Raises NodeFailed when none does in time."""
        deadline = Deadline.after(self._context.launcher.limits.of(within_s))
        try:
            wait_until(lambda: len(leaders(self.look())) == 1, deadline, "one leader")
        except TimedOut as error:
            raise NodeFailed("", f"no leader: {error}; {told(self._context.seen)}") from None
        return self.leader

    @contextlib.contextmanager
    def paused(self, *nodes: LiveNode) -> Iterator[None]:
        """Every process of the nodes is stopped (SIGSTOP) while inside; on leaving they run on and answer again."""
        with self._broken(Pause(self._subjects(nodes)), nodes):
            yield

    @contextlib.contextmanager
    def killed(self, *nodes: LiveNode, signal: str = "KILL") -> Iterator[None]:
        """The nodes are dead while inside; on leaving they are started again."""
        with self._broken(down.kill(self._subjects(nodes), signal), nodes):
            yield

    @contextlib.contextmanager
    def disk(
        self,
        *nodes: LiveNode,
        how: str,
        calls: Sequence[str] = tuple(CALLS),
        percent: int = 100,
        by_s: float = SLOW_S,
    ) -> Iterator[None]:
        """The disks of the nodes are `full`, `failing` (`percent` of the `calls`, among write and sync) or `slow` (each sync by `by_s`)
        while inside. Raises UsageError for other words, and where the cluster was not opened with `preload`.
        """
        wrong = [word for word in calls if word not in CALLS]
        if how not in HOW or wrong:
            raise UsageError(
                f"disk: {wrong[0] if wrong else how!r}: expected {', '.join(CALLS if wrong else HOW)}"
            )
        rule = Rule(how, tuple(calls), percent, by_s, self.seed + self._count)
        with self._broken(Disk(self._subjects(nodes), rule, self._control), nodes):
            yield

    @contextlib.contextmanager
    def clock(self, *nodes: LiveNode, by_s: float, rate: float = 1.0) -> Iterator[None]:
        """The wall clocks of the nodes are wrong by `by_s` seconds, and go `rate` times as fast, while inside. As `disk`."""
        with self._broken(Clock(self._subjects(nodes), by_s, rate, self._control), nodes):
            yield

    @contextlib.contextmanager
    def partition(self, *sides: Sequence[LiveNode]) -> Iterator[None]:
        """Nodes of different sides do not hear each other while inside; clients reach all of them.

        Needs `links: proxied` or `links: netns` in the cluster file; raises UsageError without. Its receipt is traffic that was
        refused, so it has one only when nodes spoke to one another meanwhile.
        """
        with self.parted(across([tuple(node.name for node in side) for side in sides]), "cut"):
            yield

    @contextlib.contextmanager
    def parted(self, flows: Sequence[tuple[str, str]], how: str) -> Iterator[LinkFault]:
        """These flows (from, to), `client` among their ends, meet `cut` or `blackhole` while inside. Raises UsageError as `partition`."""
        links = self._context.links
        if links is None:
            raise UsageError(
                "links cannot be broken here: write `links: proxied` or `links: netns` in the cluster file"
            )
        fault = LinkFault("partition", tuple(flows), links_rules.Rule(how), how, links)
        with self._broken(fault, [self.nodes[name] for name in fault.nodes]):
            yield fault

    def _subjects(self, nodes: Sequence[LiveNode]) -> tuple[Subject, ...]:
        return tuple(subject(self._context, node.name) for node in nodes)

    @property
    def _control(self) -> Control:
        if self._context.control is None:
            raise UsageError(
                "disks and clocks cannot be broken here: open the cluster with `cluster_factory(preload=True)`"
            )
        return self._context.control

    @contextlib.contextmanager
    def _broken(self, fault: Fault, nodes: Sequence[LiveNode]) -> Iterator[None]:
        with self._step("fault", [node.name for node in nodes]) as step:
            with scope(fault, self._context.journal.write, step=step) as found:
                yield
            if found.unhealed:
                raise NodeFailed(fault.nodes[0], "; ".join(found.unhealed))

    def look(self) -> dict[str, RoleSeen]:
        """Ask every node now who it is; by node name."""
        self._context.seen = self._context.roles.look(f"1.{self._count}")
        return self._context.seen

    @contextlib.contextmanager
    def _step(self, verb: str, nodes: Sequence[str]) -> Iterator[str]:
        """Journal what happens inside as one step; its id."""
        context = self._context
        self._count += 1
        step, at = f"1.{self._count}", caller(str(context.scenario.path))
        about = {
            "id": step,
            "group": self._title,
            "verb": verb,
            "at": ", ".join(nodes),
            "line": at.line,
            "text": at.text,
        }
        context.journal.write("step", **about, targets=list(nodes), resolved="", expect="", wanted=None)
        why = ""
        try:
            yield step
        except NodeFailed as error:
            why = str(error)
            raise
        finally:
            for node in context.launcher.reap():
                context.sessions.drop(node.name)
            context.launcher.look_at_logs()
            context.journal.write("step_end", id=step, result="fail" if why else "pass", why=why)

    def _do(self, verb: str, node: str, action: Callable[[], T]) -> T:
        with self._step(verb, [node]):
            return action()

    def _ask(
        self, verb: str, node: str, fields: dict[str, str], payload: bytes, timeout_s: float | None
    ) -> Reply:
        self.look()
        with self._step(verb, [node]) as step:
            operation = ask(self._context, step, node, verb, fields, payload, timeout_s)
        return self._reply(operation)

    def _reply(self, operation: Operation) -> Reply:
        outcome = operation.outcome
        named = outcome.leader
        return Reply(
            node=operation.node,
            verb=operation.verb,
            kind=outcome.kind,
            reason=outcome.reason,
            value=outcome.value,
            found=outcome.found,
            leader=(self._context.launcher.node_at(named) or named) if named else None,
            sent=operation.sent,
            received=operation.received,
            latency_ms=operation.latency_ms,
            detail=outcome.detail,
            matched=outcome.matched,
        )


class LiveNode:
    """One node of a running cluster."""

    def __init__(self, cluster: LiveCluster, name: str) -> None:
        self._cluster = cluster
        self.name = name

    def __repr__(self) -> str:
        return f"<node {self.name} at {self.address}>"

    @property
    def address(self) -> str:
        """host:port, as its clients know it."""
        host, port = self._node.address
        return f"{host}:{port}"

    @property
    def role(self) -> str | None:
        """What it says now that it is: `leader`, `follower`, or None when it does not say or is down."""
        seen = self._cluster.look()[self.name]
        return str(seen.role) if seen.up and seen.role else None

    @property
    def up(self) -> bool:
        """Whether its process lives."""
        return self._node.up

    @property
    def pid(self) -> int | None:
        """The process of its last start; None when it was never started."""
        return self._node.process.pid if self._node.process else None

    @property
    def log(self) -> str:
        """What its last start has logged until now."""
        return self._node.log_path.read_text(encoding="utf-8", errors="replace")

    def put(self, key: str, value: str, *, timeout_s: float | None = None) -> Reply:
        """Ask this node to store a value. Before and after, the key is read on every node, so that checks can judge the write."""
        return self._cluster._ask("put", self.name, {"key": key, "value": value}, b"", timeout_s)

    def get(self, key: str, *, timeout_s: float | None = None) -> Reply:
        """Ask this node for a value."""
        return self._cluster._ask("get", self.name, {"key": key}, b"", timeout_s)

    def delete(self, key: str, *, timeout_s: float | None = None) -> Reply:
        """Ask this node to remove a key."""
        return self._cluster._ask("delete", self.name, {"key": key}, b"", timeout_s)

    def cas(self, key: str, expected: str, value: str, *, timeout_s: float | None = None) -> Reply:
        """Ask this node to store a value if the key holds `expected` (compare-and-set). As `put` otherwise."""
        fields = {"key": key, "expected": expected, "value": value}
        return self._cluster._ask("cas", self.name, fields, b"", timeout_s)

    def promote(self, *, timeout_s: float | None = PROMOTE_S) -> Reply:
        """Make this node the leader, by its program's request `promote`."""
        return self._cluster._ask("promote", self.name, {}, b"", timeout_s)

    def raw(self, request: bytes, *, timeout_s: float | None = None) -> Reply:
        """Send these bytes and wait for one reply."""
        return self._cluster._ask("raw", self.name, {}, request, timeout_s)

    def start(self, within_s: float | None = None) -> None:
        """Start it and wait until it is ready. Raises NodeFailed."""
        self._cluster._do("start", self.name, lambda: self._launcher.start(self.name, within_s))

    def stop(self) -> None:
        """Stop it as its program says, and wait for its end. Raises NodeFailed."""
        self._cluster._do("stop", self.name, lambda: self._end(self._launcher.stop))

    def restart(self, within_s: float | None = None) -> None:
        """Stop it and start it again on the same data. Raises NodeFailed."""

        def again() -> None:
            self._end(self._launcher.stop)
            self._launcher.start(self.name, within_s)

        self._cluster._do("restart", self.name, again)

    def kill(self, signal: str = "KILL") -> None:
        """Send a signal and wait until it is dead. Raises NodeFailed when it lives on."""
        self._cluster._do(
            "kill", self.name, lambda: self._end(lambda name: self._launcher.kill(name, signal))
        )

    def paused(self) -> contextlib.AbstractContextManager[None]:
        """It is stopped (SIGSTOP) while inside: it holds its connections and answers nothing."""
        return self._cluster.paused(self)

    def killed(self, signal: str = "KILL") -> contextlib.AbstractContextManager[None]:
        """It is dead while inside, and started again afterwards."""
        return self._cluster.killed(self, signal=signal)

    def _end(self, end: Callable[[str], None]) -> None:
        self._cluster._context.sessions.drop(self.name)
        end(self.name)

    @property
    def _launcher(self):
        return self._cluster._context.launcher

    @property
    def _node(self):
        return self._launcher.nodes[self.name]
