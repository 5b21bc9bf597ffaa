"""Ends whole process trees: a sequence of signals, each with its time, and KILL at the end.

Judges the whole tree and never only its root: a child that outlives its parent is found, ended and
reported. Sleeps on pidfds, so that a death is noticed at once. Starts no thread, so that one caller
stops many trees in parallel.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import signal
import time
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct, field

from kvsim.errors import KvsimError
from kvsim.process.child import Child, ExitStatus, reap_adopted, signal_name
from kvsim.process.environment import ProcessTag
from kvsim.process.identity import STOPPED_STATES, Identity
from kvsim.process.process_tree import Snapshot
from kvsim.waiting import Deadline


class StopAction(Struct, frozen=True):
    """An action of a stop sequence: send `signal`, or call `run` (for example a stop command).

    Then wait up to `wait_s` for the tree to end. `run` raises KvsimError when it fails.
    """

    signal: int | None = signal.SIGTERM
    wait_s: float = 3.0
    run: Callable[[], object] | None = None


TERM_FIRST = (StopAction(signal.SIGTERM, 3.0),)
KILL_NOW: tuple[StopAction, ...] = ()

KILL = StopAction(signal.SIGKILL, 5.0)
# File descriptors that stay free for reading /proc.
SPARE_FILES = 64
# For the last output on a pseudo-terminal, when all writers have ended.
DRAIN_WAIT_S = 1.0
# The process table is read at least this often: a fork leaves no other trace.
SNAPSHOT_PERIOD_S = 0.25
SLEEP_MIN_S = 0.001


class StopTarget(Struct, frozen=True):
    """A tree to end: its root (`Child` if kvsim started it), the tag and known members."""

    root: Child | Identity
    tag: ProcessTag | None = None
    actions: Sequence[StopAction] = TERM_FIRST
    known: Sequence[Identity] = ()

    @property
    def identity(self) -> Identity:
        return self.root.identity if isinstance(self.root, Child) else self.root


class ProcessDescription(Struct, frozen=True):
    """A process, and its description from when it lived."""

    identity: Identity
    text: str


class StopResult(Struct, frozen=True):
    """How a tree ended.

    `signals` are (name, seconds after the start). `ignored` names the signals to which the root did
    not react in time. `leftovers` outlived the root and were killed. `failures` are messages of
    actions that could not be carried out. `survivors` are still alive, because the kernel or their
    owner forbids killing them. `was_running` is false when the root had ended before the first
    action. `killed_by_us`: the KILL of kvsim ended the root. `took_s` is until kvsim found it
    ended; `needed_s` is how long it certainly needed after its first signal or command: until the
    last look that began while it was there. What kvsim itself needed is not in it.
    """

    exit_status: ExitStatus
    was_running: bool
    killed_by_us: bool = False
    signals: tuple[tuple[str, float], ...] = ()
    ignored: tuple[str, ...] = ()
    leftovers: tuple[ProcessDescription, ...] = ()
    failures: tuple[str, ...] = ()
    survivors: tuple[ProcessDescription, ...] = ()
    took_s: float = 0.0
    needed_s: float = 0.0


def stop_tree(
    root: Child | Identity,
    actions: Sequence[StopAction] = TERM_FIRST,
    *,
    tag: ProcessTag | None = None,
    known: Sequence[Identity] = (),
) -> StopResult:
    """End one tree; see `stop_all`."""
    return stop_all([StopTarget(root, tag, actions, known)])[0]


def kill_all(targets: Iterable[StopTarget]) -> list[StopResult]:
    """KILL everything at once, for a second Ctrl-C."""
    return stop_all(
        [StopTarget(target.root, target.tag, KILL_NOW, target.known) for target in targets]
    )


def stop_all(targets: Sequence[StopTarget], deadline: Deadline | None = None) -> list[StopResult]:
    """End all trees in parallel; results in the order of `targets`.

    Works also on trees that are partly or wholly gone. Each tree gets its own sequence of actions.
    After the last one, or when `deadline` has passed, comes KILL. Returns when every tree is empty,
    or five seconds after the last KILL with what survived it. An exception meanwhile (a second
    Ctrl-C) leaves the rest running: then call `kill_all`.
    """
    terminations = [Termination(target, deadline) for target in targets]
    try:
        while running := [item for item in terminations if not item.finished]:
            began = time.monotonic()
            snapshot = Snapshot()
            for termination in running:
                termination.advance(snapshot, began)
            _sleep([item for item in running if not item.finished], time.monotonic() - began)
        return [termination.result() for termination in terminations]
    finally:
        for termination in terminations:
            termination.close()


class Termination(Struct):
    """The state of ending one tree: which action is under way, and which processes are left.

    `index` is that of the action under way: -1 before the first, len(target.actions) for KILL.
    `signalled` are the processes that got the signal of that action. `handles` has every member
    that was ever found, and its pidfd or -1.
    """

    target: StopTarget
    deadline: Deadline | None
    started: float = field(default_factory=time.monotonic)
    index: int = -1
    action_ends: float = 0.0
    action_signal: int | None = None
    signalled: set[Identity] = field(default_factory=set)
    finished: bool = False
    was_running: bool = False
    killed_root: bool = False
    handles: dict[Identity, int] = field(default_factory=dict)
    signals: list[tuple[str, float]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    leftovers: list[ProcessDescription] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    living: list[Identity] = field(default_factory=list)
    first_action_at: float | None = None
    last_seen_at: float | None = None
    ended_at: float | None = None

    @property
    def root(self) -> Identity:
        return self.target.identity

    @property
    def killing(self) -> bool:
        return self.index >= len(self.target.actions)

    def advance(self, snapshot: Snapshot, looked_at: float) -> None:
        """Find who is left of the tree and do what is due. Never waits.

        `looked_at` is the time at which the snapshot began: only a look after the time of an action
        shows that it had no effect in time.
        """
        self._update(snapshot)
        if self.index < 0:
            self.was_running = self.root in self.living
        if self.root in self.living:
            self.last_seen_at = looked_at
        if not self.living:
            self.finished, self.ended_at = True, time.monotonic()
        elif self.index < 0 or self._action_over(looked_at):
            self._next_action(snapshot, looked_at)
        elif self.killing or not snapshot.group(self.root):
            # Processes that were born while we killed, or that left the group.
            self._signal_each(self.living)

    def _update(self, snapshot: Snapshot) -> None:
        known = (*self.target.known, *self.handles)
        self.living = snapshot.members(self.root, self.target.tag, known)
        for process in self.living:
            if process not in self.handles:
                self.handles[process] = _open_handle(process)
        self._reap(snapshot)

    def _reap(self, snapshot: Snapshot) -> None:
        """Reap our own child by its Child, and the processes that we adopted by their pid.

        Zombies of others are reaped by their parents.
        """
        if isinstance(self.target.root, Child):
            self.target.root.poll()
        pids = snapshot.tree_pids(self.root, self.target.tag, self.handles)
        reap_adopted(pid for pid in pids if snapshot.table[pid].ppid == os.getpid())

    def _late(self) -> bool:
        return self.deadline is not None and self.deadline.passed()

    def _action_over(self, looked_at: float) -> bool:
        return looked_at >= self.action_ends or (self._late() and not self.killing)

    def _next_action(self, snapshot: Snapshot, looked_at: float) -> None:
        if self.killing:
            # KILL had no effect in its time, and there is nothing stronger.
            self.finished = True
            return
        had_its_time = looked_at >= self.action_ends
        if self.root in self.living and self.action_signal is not None and had_its_time:
            self.ignored.append(signal_name(self.action_signal))
        self.index = len(self.target.actions) if self._late() else self.index + 1
        if self.killing:
            self._note_kill()
        self._begin(KILL if self.killing else self.target.actions[self.index], snapshot)

    def _note_kill(self) -> None:
        self.killed_root = self.root in self.living
        if not self.killed_root:
            self.leftovers = _describe(self.living)

    def _begin(self, action: StopAction, snapshot: Snapshot) -> None:
        """Carry out an action. Its time begins when its signals are sent."""
        begun_at = time.monotonic()
        if self.first_action_at is None:
            self.first_action_at = begun_at
        self.action_ends = begun_at + action.wait_s
        self.action_signal, self.signalled = action.signal, set()
        if action.run:
            self._run(action.run)
        if action.signal is not None:
            self._send(action.signal, snapshot)
            sent_at = time.monotonic()
            self.action_ends = max(self.action_ends, sent_at + action.wait_s)
            if not action.run and self.first_action_at == begun_at:
                self.first_action_at = sent_at

    def _send(self, number: int, snapshot: Snapshot) -> None:
        group = snapshot.group(self.root)
        self._record(number)
        self._signal_group(number, group)
        if self.killing or not group:
            self._signal_each(self.living)
        self._continue_paused()

    def _run(self, run: Callable[[], object]) -> None:
        """Run a stop command. A failure prevents neither the next action nor other trees' turns.

        The next action then follows at once.
        """
        try:
            run()
        except KvsimError as error:
            self.failures.append(str(error))
            self.action_ends = time.monotonic()

    def _signal_group(self, number: int, group: list[Identity]) -> None:
        """Signal the whole group with one call, so that no fork is missed.

        A living member keeps the group's number from being used again.
        """
        if any(process.alive() for process in group):
            # Not permitted: then the survivors are reported.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.root.pid, number)
        if not self.killing:
            # A process may have left the group since the snapshot: send KILL to each process, too.
            self.signalled.update(group)

    def _signal_each(self, members: Iterable[Identity]) -> None:
        """Send the signal of this action to each process that has not had it."""
        if self.action_signal is None:
            return
        for process in members:
            if process not in self.signalled:
                _signal(process, self.action_signal)
                self.signalled.add(process)

    def _continue_paused(self) -> None:
        """Continue paused processes: a paused process gets no TERM before it continues."""
        if self.killing or self.action_signal in (signal.SIGSTOP, signal.SIGCONT):
            return
        paused = [process for process in self.living if process.state() in STOPPED_STATES]
        if paused:
            self._record(signal.SIGCONT)
        for process in paused:
            _signal(process, signal.SIGCONT)

    def _record(self, number: int) -> None:
        self.signals.append((signal_name(number), round(time.monotonic() - self.started, 4)))

    def result(self) -> StopResult:
        child = self.target.root
        exit_status = (child.poll() if isinstance(child, Child) else None) or ExitStatus()
        if isinstance(child, Child) and not self.living:
            child.drained(Deadline.after(DRAIN_WAIT_S))
        by_kill = exit_status.code is None and exit_status.signal in (None, signal.SIGKILL)
        return StopResult(
            exit_status=exit_status,
            was_running=self.was_running,
            killed_by_us=self.killed_root and by_kill,
            signals=tuple(self.signals),
            ignored=tuple(self.ignored),
            leftovers=tuple(self.leftovers),
            failures=tuple(self.failures),
            survivors=tuple(_describe(self.living)),
            took_s=round((self.ended_at or time.monotonic()) - self.started, 4),
            needed_s=self._needed_s(),
        )

    def _needed_s(self) -> float:
        if self.first_action_at is None or self.last_seen_at is None:
            return 0.0
        return round(max(0.0, self.last_seen_at - self.first_action_at), 4)

    def close(self) -> None:
        for handle in self.handles.values():
            if handle >= 0:
                os.close(handle)
        self.handles.clear()


def _describe(processes: Iterable[Identity]) -> list[ProcessDescription]:
    return [ProcessDescription(process, process.describe()) for process in processes]


def _open_handle(process: Identity) -> int:
    """A pidfd to sleep on.

    -1 when the process is gone, or when file descriptors run short: then the periodic snapshots
    have to notice its end.
    """
    try:
        handle = process.open()
    except OSError:
        return -1
    if handle is None:
        return -1
    if handle < resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES:
        return handle
    os.close(handle)
    return -1


def _signal(process: Identity, number: int) -> None:
    # Not permitted (another user's process): it is reported among the survivors.
    with contextlib.suppress(PermissionError):
        process.signal(number)


def _sleep(terminations: Sequence[Termination], snapshot_cost_s: float) -> None:
    """Sleep until a watched process dies, an action ends, or the next snapshot is due."""
    if not terminations:
        return
    poller = select.poll()
    watched = {item.handles[process] for item in terminations for process in item.living} - {-1}
    for handle in watched:
        poller.register(handle, select.POLLIN)
    left_s = min(item.action_ends for item in terminations) - time.monotonic()
    wait_s = max(SLEEP_MIN_S, min(SNAPSHOT_PERIOD_S, left_s))
    _wait_for_deaths(poller, watched, wait_s, snapshot_cost_s)


def _wait_for_deaths(poller: select.poll, watched: set[int], wait_s: float, more_s: float) -> None:
    """Wait for one death, then up to `more_s` for others.

    Processes often die together; so one snapshot serves several deaths, and snapshots take no more
    than half of the time.
    """
    dead = poller.poll(1000 * wait_s)
    ends = time.monotonic() + more_s
    while dead:
        for handle, _ in dead:
            poller.unregister(handle)
            watched.discard(handle)
        left_s = ends - time.monotonic()
        dead = poller.poll(1000 * left_s) if watched and left_s > 0 else []
