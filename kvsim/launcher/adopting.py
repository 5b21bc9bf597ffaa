"""Programs that go into the background: the process that was started ends, and the one its pid file names is the node.

Believes a pid file only when the process it names carries the node's mark, or descends from what was started.
"""

from __future__ import annotations

import contextlib
import os

from kvsim.config.template import render
from kvsim.launcher.cast import Cast
from kvsim.launcher.node import Node, Orphan
from kvsim.process.child import Child
from kvsim.process.identity import Identity
from kvsim.process.tree import members
from kvsim.waiting import Deadline, TimedOut, wait_until

FORK_SEEN_S = 0.5  # one look at the process table may miss a process that is forked meanwhile, so an empty one is looked at again


def adopt(cast: Cast, node: Node) -> bool:
    """Make the daemon the node's process; False as long as its pid file names none of the node's processes."""
    found = _named(node, cast.names(node.name))
    if found is None:
        return False
    launched = node.process
    node.known.append(launched.identity)
    node.process = _held(found, launched)
    cast.note(
        "adopted",
        node=node.name,
        incarnation=node.incarnation,
        pid=found.pid,
        start_ticks=found.start_ticks,
        pid_file=node.program.stop.pid_file,
        launched=launched.pid,
    )
    return True


def settled(cast: Cast, node: Node) -> bool:
    """Whether the node's process is the one that stays. With a pid file it must be the one named: a parent that is about to
    leave may still be there while its daemon already serves."""
    if node.program.stop.pid_file is None:
        return True
    found = _named(node, cast.names(node.name))
    return found is not None and found.pid == node.process.pid


def may_come(node: Node) -> bool:
    """The launched process has ended well and its program says that it leaves a daemon, which may still write its pid file."""
    ended = node.process.poll()
    if node.program.stop.pid_file is None or ended is None or ended.status != 0:
        return False
    with contextlib.suppress(TimedOut):
        return wait_until(lambda: _somebody_lives(node), Deadline.after(FORK_SEEN_S), "the daemon to be seen")
    return False


def _somebody_lives(node: Node) -> bool:
    return bool(members(node.process.identity, node.mark))


def _named(node: Node, names: dict) -> Identity | None:
    path = node.data / render(node.program.stop.pid_file, names)
    try:
        pid = int(path.read_text(encoding="utf-8", errors="replace").split()[0])
    except (OSError, ValueError, IndexError):
        return None
    tree = members(node.process.identity, node.mark)
    return next((one for one in tree if one.pid == pid), None)


def _held(found: Identity, launched: Child) -> Child | Orphan:
    """Orphans come to kvsim as their subreaper, and then it learns their exit status; others are only known."""
    stat = found.stat()
    if stat is not None and stat.ppid == os.getpid():
        return Child(found, launched.argv, launched.stdout, launched.stderr, drain=launched.drain)
    return Orphan(found)
