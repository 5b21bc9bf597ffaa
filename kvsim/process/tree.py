"""Everything that belongs to one started process: its group, its session, its descendants, and strays that
carry its mark.

Looks at one snapshot of the process table at a time, so that many trees cost one reading. Signals nothing.
"""

from __future__ import annotations

import ctypes
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property

from kvsim.errors import KvsimError
from kvsim.process import proc
from kvsim.process.environment import NODE_VARIABLE, RUN_VARIABLE, Mark
from kvsim.process.identity import DEAD_STATES, Identity, from_stat
from kvsim.process.proc import Stat

PR_SET_CHILD_SUBREAPER = 36


class Snapshot:
    """The process table at one moment, with the indexes that tree questions need.

    kvsim itself is never in it.
    """

    def __init__(self, table: Mapping[int, Stat] | None = None) -> None:
        everything = proc.table() if table is None else table
        self.table = {pid: entry for pid, entry in everything.items() if pid != os.getpid()}

    @cached_property
    def groups(self) -> Mapping[int, set[int]]:
        """Group or session number → the pids in it."""
        found: dict[int, set[int]] = defaultdict(set)
        for entry in self.table.values():
            found[entry.pgid].add(entry.pid)
            found[entry.session].add(entry.pid)
        return found

    @cached_property
    def children(self) -> Mapping[int, list[int]]:
        found: dict[int, list[int]] = defaultdict(list)
        for entry in self.table.values():
            found[entry.ppid].append(entry.pid)
        return found

    @cached_property
    def marked(self) -> Mapping[int, Mark]:
        """Pid → the mark it carries. Reads every environment once."""
        found = {pid: proc.environ(pid, RUN_VARIABLE.encode()) for pid in self.table}
        return {
            pid: Mark(variables[RUN_VARIABLE], variables.get(NODE_VARIABLE))
            for pid, variables in found.items()
            if RUN_VARIABLE in variables
        }

    @cached_property
    def marks(self) -> Mapping[Mark, set[int]]:
        """Mark → the pids that carry it; each stands under its run alone, too."""
        found: dict[Mark, set[int]] = defaultdict(set)
        for pid, mark in self.marked.items():
            found[mark].add(pid)
            found[Mark(mark.run)].add(pid)
        return found

    def with_descendants(self, pids: Iterable[int]) -> set[int]:
        found, todo = set(pids), list(pids)
        while todo:
            fresh = [pid for pid in self.children.get(todo.pop(), ()) if pid not in found]
            found.update(fresh)
            todo += fresh
        return found

    def belonging(self, root: Identity, mark: Mark | None = None, known: Iterable[Identity] = ()) -> set[int]:
        """The pids of the tree that `root` started, zombies included.

        A process belongs when it is the root or known from earlier, is in the root's group or session,
        carries the mark, or descends from one that does. What started before the root never belongs: its
        number was used before.
        """
        own = (
            set() if self._reused(root) else {root.pid} & self.table.keys() | self.groups.get(root.pid, set())
        )
        strays = self.marks.get(mark, set()) if mark else set()
        younger = {pid for pid in own | strays if self.table[pid].start_ticks >= root.start_ticks}
        return self.with_descendants(younger | {one.pid for one in known if self._has(one)})

    def members(
        self, root: Identity, mark: Mark | None = None, known: Iterable[Identity] = ()
    ) -> list[Identity]:
        """The living ones of `belonging`, the root first, then by pid."""
        pids = sorted(self.belonging(root, mark, known), key=lambda pid: (pid != root.pid, pid))
        found = (from_stat(self.table[pid]) for pid in pids)
        return [one for one in found if one and self._living(one)]

    def group(self, root: Identity) -> list[Identity]:
        """The living processes in the root's own process group: the ones that `killpg` reaches."""
        if self._reused(root):
            return []
        inside = (self.table[pid] for pid in sorted(self.groups.get(root.pid, ())))
        found = (
            from_stat(entry) for entry in inside if entry.pgid == root.pid and entry.state not in DEAD_STATES
        )
        return [one for one in found if one and one.start_ticks >= root.start_ticks]

    def _has(self, one: Identity) -> bool:
        entry = self.table.get(one.pid)
        return entry is not None and entry.start_ticks == one.start_ticks

    def _living(self, one: Identity) -> bool:
        return self.table[one.pid].state not in DEAD_STATES or one.alive()

    def _reused(self, root: Identity) -> bool:
        """A number is given out again only when no group or session uses it: then nothing of the old group
        is left.
        """
        return root.boot_id != proc.boot_id() or (root.pid in self.table and not self._has(root))


def members(root: Identity, mark: Mark | None = None, known: Iterable[Identity] = ()) -> list[Identity]:
    """The living processes of one tree, now."""
    return Snapshot().members(root, mark, known)


def become_subreaper(on: bool = True) -> None:
    """Orphans below kvsim become kvsim's children, so that they can be seen dead (a pid 1 that never reaps
    hides it).
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0):
        raise KvsimError(f"cannot become subreaper: {os.strerror(ctypes.get_errno())}")
