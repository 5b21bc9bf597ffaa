"""Who belongs to a node."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kvsim.process import process_tree, procfs
from kvsim.process.environment import ProcessTag
from kvsim.process.identity import Identity
from kvsim.process.process_tree import Snapshot, own_descendants
from kvsim.process.procfs import Stat
from tests.process_fixtures import SLEEP, eventually

FORK = """
import os, time
if os.fork() == 0:
    {child}
    print('child', os.getpid())
    time.sleep(60)
time.sleep(60)
"""


def test_root_first_then_children(processes) -> None:
    root = processes.python(FORK.format(child="pass")).identity
    child = processes.identity("child")
    assert process_tree.members(root) == [root, child]
    assert process_tree.members(root, processes.tag) == [root, child]


def test_a_child_in_a_session_of_its_own_descends_from_us(processes) -> None:
    root = processes.python(FORK.format(child="os.setsid()")).identity
    child = processes.identity("child")
    assert process_tree.members(root) == [root, child]
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


def test_a_daemon_is_found_by_its_mark(processes) -> None:
    """Forked twice, a session of its own, its parents gone: only the environment still tells."""
    root = processes.python(DAEMON)
    daemon = processes.identity("child")
    eventually(root.poll)
    assert process_tree.members(root.identity) == []
    assert process_tree.members(root.identity, processes.tag) == [daemon]


def test_the_dead_do_not_count(processes) -> None:
    child = processes.python("pass")
    eventually(lambda: child.identity.state() == "Z")
    assert process_tree.members(child.identity) == []
    child.poll()


def test_two_nodes_of_one_run_are_kept_apart(processes) -> None:
    first = processes.python(SLEEP)
    second_mark = ProcessTag(processes.tag.run, "n2")
    second = processes.python(SLEEP, env={**os.environ, **second_mark.variables()})
    assert process_tree.members(first.identity, processes.tag) == [first.identity]
    assert process_tree.members(second.identity, second_mark) == [second.identity]
    both = Snapshot().by_tag[ProcessTag(processes.tag.run)]
    assert {first.pid, second.pid} <= both


# --- on written process tables

ROOT = Identity(100, 50, procfs.boot_id())


def entry(
    pid: int, ppid: int = 1, pgid: int = 0, session: int = 0, start: int = 60, state: str = "S"
) -> Stat:
    return Stat(pid, "x", state, ppid, pgid or pid, session or pid, start)


def tree_pids(*entries: Stat, root: Identity = ROOT, known: tuple[Identity, ...] = ()) -> set[int]:
    snapshot = Snapshot({one.pid: one for one in entries})
    snapshot.__dict__["marked"] = {}
    return snapshot.tree_pids(root, None, known)


def test_group_and_session_without_their_leader() -> None:
    assert tree_pids(entry(101, pgid=100), entry(102, session=100), entry(103)) == {101, 102}


def test_nothing_of_a_number_that_was_used_again() -> None:
    stranger = entry(100, start=90)
    assert tree_pids(stranger, entry(101, ppid=100, pgid=100, start=91)) == set()


def test_what_is_older_than_the_root_never_belongs() -> None:
    assert tree_pids(entry(100, start=50), entry(101, pgid=100, start=49)) == {100}


def test_a_process_of_another_boot_has_no_members() -> None:
    old = replace(ROOT, boot_id="another boot")
    assert tree_pids(entry(100, start=50), root=old) == set()


def test_a_known_process_belongs_unless_its_pid_was_used_again() -> None:
    known = (Identity(200, 60, procfs.boot_id()), Identity(201, 60, procfs.boot_id()))
    assert tree_pids(
        entry(200, start=60), entry(201, start=61), entry(202, ppid=200), known=known
    ) == {
        200,
        202,
    }


@given(st.dictionaries(st.integers(2, 40), st.integers(0, 40), max_size=30))
def test_descent_ends_even_on_tables_torn_while_reading(parents: dict[int, int]) -> None:
    snapshot = Snapshot({pid: entry(pid, ppid) for pid, ppid in parents.items()})
    found = snapshot.with_descendants({1})
    assert all(parents[pid] in found for pid in found - {1})
    assert all(pid in found for pid, ppid in parents.items() if ppid in found)


def test_own_descendants_are_what_this_process_started(processes) -> None:
    child = processes.python(SLEEP).identity
    found = own_descendants().table
    assert child.pid in found
    assert os.getppid() not in found
