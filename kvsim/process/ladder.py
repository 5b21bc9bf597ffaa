"""Ends whole process trees: one signal after another, each with its time, and KILL as the last word.

Judges the tree and never only its root: a child that outlives its parent is found, ended and reported.
Sleeps on pidfds, so a death is seen at once; starts no thread, so one caller stops many trees in parallel.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterable, Sequence

from kvsim.process.child import Child
from kvsim.process.climb import Climb
from kvsim.process.environment import Mark
from kvsim.process.identity import Identity
from kvsim.process.rungs import KILL_NOW, TERM_FIRST, Described, Step, Stopped, Target
from kvsim.process.tree import Snapshot
from kvsim.waiting import Deadline

__all__ = [
    "KILL_NOW",
    "TERM_FIRST",
    "Described",
    "Step",
    "Stopped",
    "Target",
    "kill_all",
    "stop_all",
    "stop_tree",
]

LOOK_AGAIN_S = 0.25  # a look at the whole table at least this often: a fork leaves no other trace


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
    every tree is empty, or five seconds after the last KILL with what survived it. An exception on the way (a
    second Ctrl-C) leaves the rest running: call `kill_all` then.
    """
    climbs = [Climb(target, deadline) for target in targets]
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


def _sleep(climbs: Sequence[Climb], look_cost_s: float) -> None:
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
