"""One tree's way up its ladder: who is left, what is due, what was seen.

Looks and signals when told; never waits.
"""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from kvsim.errors import KvsimError
from kvsim.process.child import Child, Ended, reap_adopted, signal_name
from kvsim.process.identity import STOPPED_STATES, Identity
from kvsim.process.rungs import Described, Step, Stopped, Target
from kvsim.process.tree import Snapshot
from kvsim.waiting import Deadline

KILL = Step(signal.SIGKILL, 5.0)
SPARE_FILES = 64
DRAIN_WAIT_S = 1.0  # for the last words on a pseudo-terminal, once all who could write are gone


@dataclass
class Climb:
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
    )  # every member seen → pidfd, or -1: none to have
    signals: list[tuple[str, float]] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    leftovers: list[Described] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
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
            self._signal_each(self.living)  # born while we killed, or strays out of the group's reach

    def _look(self, snapshot: Snapshot) -> None:
        known = (*self.target.known, *self.handles)
        self.living = snapshot.members(self.root, self.target.mark, known)
        for one in self.living:
            if one not in self.handles:
                self.handles[one] = _handle(one)
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
        had_its_time = time.monotonic() >= self.rung_ends
        if self.root in self.living and self.rung_signal is not None and had_its_time:
            self.ignored.append(signal_name(self.rung_signal))
        self.rung = len(self.target.steps) if self._late() else self.rung + 1
        if self.killing:
            self._note_kill()
        self._begin(KILL if self.killing else self.target.steps[self.rung], snapshot)

    def _note_kill(self) -> None:
        self.killed_root = self.root in self.living
        if not self.killed_root:
            self.leftovers = [Described(one, one.describe()) for one in self.living]

    def _begin(self, step: Step, snapshot: Snapshot) -> None:
        self.rung_ends, self.rung_signal, self.reached = time.monotonic() + step.wait_s, step.signal, set()
        if step.act:
            self._act(step.act)
        if step.signal is None:
            return
        group = snapshot.group(self.root)
        self._record(step.signal)
        self._signal_group(step.signal, group)
        if self.killing or not group:
            self._signal_each(self.living)
        self._continue_paused()

    def _act(self, act: Callable[[], object]) -> None:
        """A stop command that cannot be run must not keep the next rung, nor other trees, from their turn."""
        try:
            act()
        except KvsimError as error:
            self.troubles.append(str(error))

    def _signal_group(self, number: int, group: list[Identity]) -> None:
        """One call for the whole group, so that no fork slips through.

        A living member keeps its number from re-use.
        """
        if any(one.alive() for one in group):
            with contextlib.suppress(ProcessLookupError, PermissionError):  # not ours: the survivors will say
                os.killpg(self.root.pid, number)
        if not self.killing:  # one may have left the group since we looked: KILL goes to each by itself, too
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
            troubles=tuple(self.troubles),
            survivors=tuple(Described(one, one.describe()) for one in self.living),
            took_s=round(time.monotonic() - self.started, 4),
        )

    def close(self) -> None:
        for handle in self.handles.values():
            if handle >= 0:
                os.close(handle)
        self.handles.clear()


def _handle(one: Identity) -> int:
    """A pidfd to sleep on; -1 when it is gone, or when files are running short: then looking now and then
    has to do.
    """
    try:
        handle = one.open()
    except OSError:
        return -1
    if handle is None or handle < resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES:
        return -1 if handle is None else handle
    os.close(handle)  # reading /proc needs some, too
    return -1


def _signal(one: Identity, number: int) -> None:
    with contextlib.suppress(PermissionError):  # another user's: shown among the survivors
        one.signal(number)
