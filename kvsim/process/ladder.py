"""Ends whole process trees: one signal after another, each with its time, and KILL as the last word.

Judges the tree and never only its root: a child that outlives its parent is found, ended and reported.
Sleeps on pidfds, so a death is seen at once; starts no thread, so signals can be sent from the main thread
to many trees in parallel.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from kvsim.process.child import Child, Ended, reap_adopted, signal_name
from kvsim.process.environment import Mark
from kvsim.process.identity import STOPPED_STATES, Identity
from kvsim.process.tree import Snapshot
from kvsim.waiting import Deadline

KILL_WAIT_S = 5.0
DRAIN_WAIT_S = 1.0  # for the last words on a pseudo-terminal, once all who could write are gone
LOOK_AGAIN_S = 0.25  # a look at the whole table at least this often: a fork leaves no other trace


@dataclass(frozen=True)
class Step:
    """One rung: send a signal (or do `act`, such as starting a stop command), then wait up to `wait_s` for
    the tree to go.
    """

    signal: int | None = signal.SIGTERM
    wait_s: float = 3.0
    act: Callable[[], object] | None = None


TERM_FIRST = (Step(signal.SIGTERM, 3.0),)
KILL_NOW: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Target:
    """One tree to end: what we started (`Child`) or only know (`Identity`), and its processes' mark."""

    root: Child | Identity
    mark: Mark | None = None
    steps: Sequence[Step] = TERM_FIRST
    known: Sequence[Identity] = ()

    @property
    def identity(self) -> Identity:
        return self.root.identity if isinstance(self.root, Child) else self.root


@dataclass(frozen=True)
class Described:
    """A process in words, taken while it lived."""

    identity: Identity
    text: str


@dataclass(frozen=True)
class Stopped:
    """How one tree ended.

    `signals` are (name, seconds after the start); `ignored` names what the root did not react to in its
    time; `leftovers` outlived the root and had to be killed; `survivors` are still alive (the kernel or the
    owner forbids). `was_running` is false when the root had ended before anything was sent; `killed_by_us`
    says that our KILL ended it.
    """

    ended: Ended
    was_running: bool
    killed_by_us: bool = False
    signals: tuple[tuple[str, float], ...] = ()
    ignored: tuple[str, ...] = ()
    leftovers: tuple[Described, ...] = ()
    survivors: tuple[Described, ...] = ()
    took_s: float = 0.0


def stop_tree(
    root: Child | Identity,
    steps: Sequence[Step] = TERM_FIRST,
    *,
    mark: Mark | None = None,
    known: Sequence[Identity] = (),
) -> Stopped:
    """End one tree; see `stop_all`."""
    return stop_all([Target(root, mark, steps, known)])[0]


def kill_all(targets: Iterable[Target]) -> list[Stopped]:
    """KILL everything at once, without a grace: for a second Ctrl-C."""
    return stop_all([Target(target.root, target.mark, KILL_NOW, target.known) for target in targets])


def stop_all(targets: Sequence[Target], deadline: Deadline | None = None) -> list[Stopped]:
    """End all trees in parallel; results in the order of `targets`.

    Safe on trees that are partly or wholly gone.

    Each tree climbs its own steps; when they are used up, or `deadline` has passed, comes KILL. Returns when
    every tree is empty, or KILL_WAIT_S after the last KILL with what survived it. An exception on the way (a
    second Ctrl-C) leaves the rest running: call `kill_all` then.
    """
    climbs = [_Climb(target, deadline) for target in targets]
    try:
        while open_ones := [climb for climb in climbs if not climb.finished]:
            looked = time.monotonic()
            snapshot = Snapshot()
            for climb in open_ones:
                climb.advance(snapshot)
            _sleep([climb for climb in open_ones if not climb.finished], time.monotonic() - looked)
        return [climb.result() for climb in climbs]
    finally:
        for climb in climbs:
            climb.close()


@dataclass
class _Climb:
    """Where one tree stands on its ladder."""

    target: Target
    deadline: Deadline | None
    started: float = field(default_factory=time.monotonic)
    rung: int = -1  # -1: nothing sent yet; len(steps): killing
    rung_ends: float = 0.0
    rung_signal: int | None = None
    reached: set[Identity] = field(default_factory=set)  # who got this rung's signal
    finished: bool = False
    was_running: bool = False
    killed_root: bool = False
    handles: dict[Identity, int] = field(
        default_factory=dict
    )  # every member seen → its pidfd, -1 when it was gone
    signals: list[tuple[str, float]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    leftovers: list[Described] = field(default_factory=list)
    living: list[Identity] = field(default_factory=list)

    @property
    def root(self) -> Identity:
        return self.target.identity

    @property
    def killing(self) -> bool:
        return self.rung >= len(self.target.steps)

    def advance(self, snapshot: Snapshot) -> None:
        """Look at the tree and do what is due."""
        self._look(snapshot)
        if self.rung < 0:
            self.was_running = self.root in self.living
        if not self.living:
            self.finished = True
        elif self.rung < 0 or self._rung_over():
            self._climb(snapshot)
        elif self.killing or not snapshot.group(self.root):
            self._signal_each(
                self.living
            )  # born while we killed, or a stray that the group's signal did not reach

    def _look(self, snapshot: Snapshot) -> None:
        known = (*self.target.known, *self.handles)
        self.living = snapshot.members(self.root, self.target.mark, known)
        for one in self.living:
            if one not in self.handles:
                handle = one.open()
                self.handles[one] = -1 if handle is None else handle
        self._reap(snapshot)

    def _reap(self, snapshot: Snapshot) -> None:
        """Our own child by its Child; what we adopted, by number.

        Zombies of others are their parents' business.
        """
        if isinstance(self.target.root, Child):
            self.target.root.poll()
        adopted = snapshot.belonging(self.root, self.target.mark, self.handles)
        reap_adopted(pid for pid in adopted if snapshot.table[pid].ppid == os.getpid())

    def _late(self) -> bool:
        return self.deadline is not None and self.deadline.passed()

    def _rung_over(self) -> bool:
        return time.monotonic() >= self.rung_ends or (self._late() and not self.killing)

    def _climb(self, snapshot: Snapshot) -> None:
        if self.killing:  # KILL did not help in its time: whatever holds them, we cannot
            self.finished = True
            return
        if self.root in self.living and self.rung_signal is not None:
            self.ignored.append(signal_name(self.rung_signal))
        self.rung = len(self.target.steps) if self._late() else self.rung + 1
        if self.killing:
            self._note_kill()
        self._begin(
            Step(signal.SIGKILL, KILL_WAIT_S) if self.killing else self.target.steps[self.rung], snapshot
        )

    def _note_kill(self) -> None:
        self.killed_root = self.root in self.living
        if not self.killed_root:
            self.leftovers = [Described(one, one.describe()) for one in self.living]

    def _begin(self, step: Step, snapshot: Snapshot) -> None:
        self.rung_ends, self.rung_signal, self.reached = time.monotonic() + step.wait_s, step.signal, set()
        if step.act:
            step.act()
        if step.signal is None:
            return
        group = snapshot.group(self.root)
        self._record(step.signal)
        self._signal_group(step.signal, group)
        if self.killing or not group:
            self._signal_each(self.living)
        self._continue_paused()

    def _signal_group(self, number: int, group: list[Identity]) -> None:
        """One call for the whole group, so that no fork slips through.

        A living member keeps its number from re-use.
        """
        if any(one.alive() for one in group):
            with contextlib.suppress(ProcessLookupError, PermissionError):  # not ours: the survivors will say
                os.killpg(self.root.pid, number)
        self.reached.update(group)

    def _signal_each(self, members: Iterable[Identity]) -> None:
        """This rung's signal to whoever has not had it."""
        if self.rung_signal is None:
            return
        for one in members:
            if one not in self.reached:
                _signal(one, self.rung_signal)
                self.reached.add(one)

    def _continue_paused(self) -> None:
        """A paused process sees no TERM until it goes on."""
        if self.killing or self.rung_signal in (signal.SIGSTOP, signal.SIGCONT):
            return
        paused = [one for one in self.living if one.state() in STOPPED_STATES]
        if paused:
            self._record(signal.SIGCONT)
        for one in paused:
            _signal(one, signal.SIGCONT)

    def _record(self, number: int) -> None:
        self.signals.append((signal_name(number), round(time.monotonic() - self.started, 4)))

    def result(self) -> Stopped:
        child = self.target.root
        ended = (child.poll() if isinstance(child, Child) else None) or Ended()
        if isinstance(child, Child) and not self.living:
            child.drained(Deadline.after(DRAIN_WAIT_S))
        return Stopped(
            ended=ended,
            was_running=self.was_running,
            killed_by_us=self.killed_root and ended.status is None and ended.signal in (None, signal.SIGKILL),
            signals=tuple(self.signals),
            ignored=tuple(self.ignored),
            leftovers=tuple(self.leftovers),
            survivors=tuple(Described(one, one.describe()) for one in self.living),
            took_s=round(time.monotonic() - self.started, 4),
        )

    def close(self) -> None:
        for handle in self.handles.values():
            if handle >= 0:
                os.close(handle)
        self.handles.clear()


def _sleep(climbs: Sequence[_Climb], look_cost_s: float) -> None:
    """Until a watched process dies, a rung ends, or it is time to look again; never so short that looking is
    all we do.
    """
    if not climbs:
        return
    poller = select.poll()
    watched = {climb.handles[one] for climb in climbs for one in climb.living} - {-1}
    for handle in watched:
        poller.register(handle, select.POLLIN)
    left_s = min(climb.rung_ends for climb in climbs) - time.monotonic()
    _wait_for_deaths(poller, watched, max(0.001, min(LOOK_AGAIN_S, left_s)), look_cost_s)


def _wait_for_deaths(poller: select.poll, watched: set[int], wait_s: float, more_s: float) -> None:
    """Until one is dead; then up to `more_s` for others, which often die together: one look for several."""
    dead = poller.poll(1000 * wait_s)
    ends = time.monotonic() + more_s
    while dead:
        for handle, _ in dead:
            poller.unregister(handle)
            watched.discard(handle)
        left_s = ends - time.monotonic()
        dead = poller.poll(1000 * left_s) if watched and left_s > 0 else []


def _signal(one: Identity, number: int) -> None:
    with contextlib.suppress(PermissionError):  # another user's: shown among the survivors
        one.signal(number)
