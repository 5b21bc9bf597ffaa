"""Who belongs to a node."""

from __future__ import annotations

import os
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kvsim.process import proc, tree
from kvsim.process.environment import Mark
from kvsim.process.identity import Identity
from kvsim.process.proc import Stat
from kvsim.process.tree import Snapshot
from tests.process.stage import SLEEP, soon

FORK = """
import os, time
if os.fork() == 0:
    {child}
    print('child', os.getpid())
    time.sleep(60)
time.sleep(60)
"""


def test_root_first_then_children(stage) -> None:
    root = stage.python(FORK.format(child="pass")).identity
    child = stage.identity("child")
    assert tree.members(root) == [root, child]
    assert tree.members(root, stage.mark) == [root, child]


def test_a_child_in_a_session_of_its_own_descends_from_us(stage) -> None:
    root = stage.python(FORK.format(child="os.setsid()")).identity
    child = stage.identity("child")
    assert tree.members(root) == [root, child]
    assert Snapshot().group(root) == [root]


DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print('child', os.getpid())
        time.sleep(60)
    os._exit(0)
os.wait()
"""


def test_a_daemon_is_found_by_its_mark(stage) -> None:
    """Forked twice, a session of its own, its parents gone: only the environment still tells."""
    root = stage.python(DAEMON)
    daemon = stage.identity("child")
    soon(root.poll)
    assert tree.members(root.identity) == []
    assert tree.members(root.identity, stage.mark) == [daemon]


def test_the_dead_do_not_count(stage) -> None:
    child = stage.python("pass")
    soon(lambda: child.identity.state() == "Z")
    assert tree.members(child.identity) == []
    child.poll()


def test_two_nodes_of_one_run_are_kept_apart(stage) -> None:
    first = stage.python(SLEEP)
    second_mark = Mark(stage.mark.run, "n2")
    second = stage.python(SLEEP, env={**os.environ, **second_mark.variables()})
    assert tree.members(first.identity, stage.mark) == [first.identity]
    assert tree.members(second.identity, second_mark) == [second.identity]
    both = Snapshot().marks[Mark(stage.mark.run)]
    assert {first.pid, second.pid} <= both


# --- on written process tables

ROOT = Identity(100, 50, proc.boot_id())


def entry(
    pid: int, ppid: int = 1, pgid: int = 0, session: int = 0, start: int = 60, state: str = "S"
) -> Stat:
    return Stat(pid, "x", state, ppid, pgid or pid, session or pid, start)


def belonging(*entries: Stat, root: Identity = ROOT, known: tuple[Identity, ...] = ()) -> set[int]:
    snapshot = Snapshot({one.pid: one for one in entries})
    snapshot.__dict__["marked"] = {}
    return snapshot.belonging(root, None, known)


def test_group_and_session_without_their_leader() -> None:
    assert belonging(entry(101, pgid=100), entry(102, session=100), entry(103)) == {101, 102}


def test_nothing_of_a_number_that_was_used_again() -> None:
    stranger = entry(100, start=90)
    assert belonging(stranger, entry(101, ppid=100, pgid=100, start=91)) == set()


def test_what_is_older_than_the_root_never_belongs() -> None:
    assert belonging(entry(100, start=50), entry(101, pgid=100, start=49)) == {100}


def test_another_boot_has_nothing_of_ours() -> None:
    old = replace(ROOT, boot_id="another boot")
    assert belonging(entry(100, start=50), root=old) == set()


def test_what_was_seen_before_still_counts_unless_its_number_was_used_again() -> None:
    known = (Identity(200, 60, proc.boot_id()), Identity(201, 60, proc.boot_id()))
    assert belonging(entry(200, start=60), entry(201, start=61), entry(202, ppid=200), known=known) == {
        200,
        202,
    }


@given(st.dictionaries(st.integers(2, 40), st.integers(0, 40), max_size=30))
def test_descent_ends_even_on_tables_torn_while_reading(parents: dict[int, int]) -> None:
    snapshot = Snapshot({pid: entry(pid, ppid) for pid, ppid in parents.items()})
    found = snapshot.with_descendants({1})
    assert all(parents[pid] in found for pid in found - {1})
    assert all(pid in found for pid, ppid in parents.items() if ppid in found)
