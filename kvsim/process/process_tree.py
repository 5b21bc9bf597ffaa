"""Everything that belongs to a started process.

That is its process group, its session, its descendants, and processes that carry its tag. Works on
one snapshot of the process table at a time, so that many trees cost one reading. Sends no signal.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property

from kvsim.errors import KvsimError
from kvsim.process import procfs
from kvsim.process.environment import NODE_VARIABLE, RUN_VARIABLE, ProcessTag
from kvsim.process.identity import DEAD_STATES, Identity, from_stat
from kvsim.process.procfs import Stat

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


class Snapshot:
    """The process table at one moment, without kvsim itself, with indexes for tree questions."""

    def __init__(self, table: Mapping[int, Stat] | None = None) -> None:
        everything = procfs.table() if table is None else table
        self.table = {pid: entry for pid, entry in everything.items() if pid != os.getpid()}

    @cached_property
    def groups(self) -> Mapping[int, set[int]]:
        """Group or session number -> the pids in it."""
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
    def tagged(self) -> Mapping[int, ProcessTag]:
        """Pid -> the tag it carries. Reads every environment once."""
        found = {
            pid: procfs.environ(pid, RUN_VARIABLE.encode())
            for pid, entry in self.table.items()
            if entry.state not in DEAD_STATES and not entry.kernel_thread
        }
        return {
            pid: ProcessTag(variables[RUN_VARIABLE], variables.get(NODE_VARIABLE))
            for pid, variables in found.items()
            if RUN_VARIABLE in variables
        }

    @cached_property
    def by_tag(self) -> Mapping[ProcessTag, set[int]]:
        """Tag -> the pids that carry it. Each pid is also listed under its run alone."""
        found: dict[ProcessTag, set[int]] = defaultdict(set)
        for pid, tag in self.tagged.items():
            found[tag].add(pid)
            found[ProcessTag(tag.run)].add(pid)
        return found

    def with_descendants(self, pids: Iterable[int]) -> set[int]:
        found, todo = set(pids), list(pids)
        while todo:
            new = [pid for pid in self.children.get(todo.pop(), ()) if pid not in found]
            found.update(new)
            todo += new
        return found

    def tree_pids(
        self, root: Identity, tag: ProcessTag | None = None, known: Iterable[Identity] = ()
    ) -> set[int]:
        """The pids of the tree that `root` started, zombies included.

        A process belongs to it when it is the root or in `known`, is in the root's group or
        session, carries the tag, or descends from such a process. A process that started before
        the root never belongs: its number was used before.
        """
        group = (
            set()
            if self._reused(root)
            else {root.pid} & self.table.keys() | self.groups.get(root.pid, set())
        )
        tagged = self.by_tag.get(tag, set()) if tag else set()
        younger = {pid for pid in group | tagged if self.table[pid].start_ticks >= root.start_ticks}
        present = {process.pid for process in known if self._has(process)}
        return self.with_descendants(younger | present)

    def members(
        self, root: Identity, tag: ProcessTag | None = None, known: Iterable[Identity] = ()
    ) -> list[Identity]:
        """The living processes of `tree_pids`, the root first, then by pid."""
        pids = sorted(self.tree_pids(root, tag, known), key=lambda pid: (pid != root.pid, pid))
        found = (from_stat(self.table[pid]) for pid in pids)
        return [process for process in found if process and self._living(process)]

    def group(self, root: Identity) -> list[Identity]:
        """The living processes in the root's process group: those that `killpg` reaches."""
        if self._reused(root):
            return []
        entries = (self.table[pid] for pid in sorted(self.groups.get(root.pid, ())))
        found = (
            from_stat(entry)
            for entry in entries
            if entry.pgid == root.pid and entry.state not in DEAD_STATES
        )
        return [process for process in found if process and process.start_ticks >= root.start_ticks]

    def _has(self, process: Identity) -> bool:
        entry = self.table.get(process.pid)
        return entry is not None and entry.start_ticks == process.start_ticks

    def _living(self, process: Identity) -> bool:
        return self.table[process.pid].state not in DEAD_STATES or process.alive()

    def _reused(self, root: Identity) -> bool:
        """Whether another process has the root's pid now.

        The kernel gives a pid to another process only when no group or session has that number.
        Then nothing of the old group is left.
        """
        return root.boot_id != procfs.boot_id() or (root.pid in self.table and not self._has(root))


def members(
    root: Identity, tag: ProcessTag | None = None, known: Iterable[Identity] = ()
) -> list[Identity]:
    """The living processes of one tree, now."""
    return Snapshot().members(root, tag, known)


def own_descendants() -> Snapshot:
    """The table of what descends from this process: enough for trees that it started itself, once
    it has become a subreaper. Reads nothing of the machine's other processes.
    """
    return Snapshot(procfs.descendants(os.getpid()))


def become_subreaper(on: bool = True) -> None:
    """Make orphans below kvsim the children of kvsim, so that kvsim can reap them.

    Otherwise they become children of pid 1, and in a container pid 1 may never reap.
    """
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, int(on), 0, 0, 0):
        raise KvsimError(f"cannot become subreaper: {os.strerror(ctypes.get_errno())}")


def end_with_parent(parent: int) -> None:
    """Let the kernel KILL this process when the thread that started it ends, however it ends."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # If it died before the call above, the kernel will not send the signal.
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
