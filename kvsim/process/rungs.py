"""What stopping a process tree is told and what it tells: frozen values only.

Who climbs stands in `climb.py`.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kvsim.process.child import Child, Ended
from kvsim.process.environment import Mark
from kvsim.process.identity import Identity


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
    owner forbids); `troubles` are steps that could not be taken. `was_running` is false when the root had
    ended before anything was sent; `killed_by_us` says that our KILL ended it.
    """

    ended: Ended
    was_running: bool
    killed_by_us: bool = False
    signals: tuple[tuple[str, float], ...] = ()
    ignored: tuple[str, ...] = ()
    leftovers: tuple[Described, ...] = ()
    troubles: tuple[str, ...] = ()
    survivors: tuple[Described, ...] = ()
    took_s: float = 0.0
