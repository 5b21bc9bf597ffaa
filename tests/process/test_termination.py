"""Ending whole trees, however they resist."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from kvsim.errors import KvsimError
from kvsim.process import identity, process_tree, procfs
from kvsim.process.child import ExitStatus
from kvsim.process.environment import ProcessTag, clean_environment
from kvsim.process.process_tree import Snapshot
from kvsim.process.termination import (
    StopAction,
    StopTarget,
    Termination,
    kill_all,
    stop_all,
    stop_tree,
)
from kvsim.waiting import Deadline
from tests.process_fixtures import PYTHON, SLEEP, eventually

SHORT = (StopAction(signal.SIGTERM, 0.2),)
LONG = (StopAction(signal.SIGTERM, 30.0),)
IGNORES_TERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('up')
time.sleep(60)
"""
EXITS_ON_TERM = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print('up')
time.sleep(60)
"""


def names(stopped) -> list[str]:
    return [name for name, _ in stopped.signals]


def test_a_program_that_exits_on_term(processes) -> None:
    stopped = stop_tree(processes.python(EXITS_ON_TERM, prints="up"), LONG, tag=processes.tag)
    assert stopped.exit_status == ExitStatus(code=0)
    assert names(stopped) == ["SIGTERM"]
    assert stopped.was_running
    assert not stopped.killed_by_us
    assert (stopped.ignored, stopped.leftovers, stopped.survivors) == ((), (), ())


def test_a_program_that_ignores_term_is_killed_and_reported(processes) -> None:
    stopped = stop_tree(processes.python(IGNORES_TERM, prints="up"), SHORT, tag=processes.tag)
    assert stopped.exit_status == ExitStatus(signal=signal.SIGKILL)
    assert stopped.killed_by_us
    assert stopped.ignored == ("SIGTERM",)
    assert names(stopped) == ["SIGTERM", "SIGKILL"]
    assert stopped.signals[1][1] >= 0.2


def test_several_signals_in_order(processes) -> None:
    actions = (StopAction(signal.SIGINT, 0.1), StopAction(signal.SIGQUIT, 30.0))
    code = IGNORES_TERM.replace("SIGTERM", "SIGINT")
    stopped = stop_tree(processes.python(code, prints="up"), actions)
    assert names(stopped) == ["SIGINT", "SIGQUIT"]
    assert stopped.ignored == ("SIGINT",)
    assert stopped.exit_status == ExitStatus(signal=signal.SIGQUIT)


def test_a_paused_program_is_continued_so_that_it_gets_term(processes) -> None:
    child = processes.python(EXITS_ON_TERM, prints="up")
    child.identity.signal(signal.SIGSTOP)
    eventually(child.identity.stopped)
    stopped = stop_tree(child, LONG)
    assert names(stopped) == ["SIGTERM", "SIGCONT"]
    assert stopped.exit_status == ExitStatus(code=0)


LEAVES_A_CHILD = """
import os, signal, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    {where}
    print('child', os.getpid())
    time.sleep(60)
print('up')
time.sleep(60)
"""


def test_a_child_in_the_group_that_outlives_its_parent(processes) -> None:
    root = processes.python(LEAVES_A_CHILD.format(where=""), prints="up")
    child = processes.identity("child")
    stopped = stop_tree(root, SHORT, tag=processes.tag)
    assert stopped.exit_status == ExitStatus(signal=signal.SIGTERM)
    assert not stopped.killed_by_us
    assert [left.identity for left in stopped.leftovers] == [child]
    assert f"pid {child.pid} (" in stopped.leftovers[0].text
    assert stopped.ignored == ()
    # Reaped as well, because we adopted it.
    assert procfs.stat(child.pid) is None


def test_a_child_that_left_the_group(processes) -> None:
    root = processes.python(LEAVES_A_CHILD.format(where="os.setsid()"), prints="up")
    child = processes.identity("child")
    stopped = stop_tree(root, SHORT)
    assert [left.identity for left in stopped.leftovers] == [child]
    assert procfs.stat(child.pid) is None


def test_a_child_outside_the_group_gets_the_signal_once_the_group_is_gone(processes) -> None:
    code = LEAVES_A_CHILD.format(where="os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_DFL)")
    root = processes.python(code, prints="up")
    child = processes.identity("child")
    stopped = stop_tree(root, LONG)
    assert names(stopped) == ["SIGTERM"]
    assert stopped.leftovers == ()
    assert procfs.stat(child.pid) is None


def test_children_born_while_we_kill(processes) -> None:
    code = """
import os, time
print('up')
while True:
    if os.fork() == 0:
        os.setsid()
        time.sleep(60)
    time.sleep(0.002)
"""
    stopped = stop_tree(processes.python(code, prints="up"), (), tag=processes.tag)
    assert stopped.killed_by_us
    assert stopped.survivors == ()
    assert process_tree.Snapshot().by_tag.get(processes.tag) is None


def test_a_program_that_had_ended_already(processes) -> None:
    child = processes.python("import sys; sys.exit(3)")
    eventually(lambda: child.identity.state() == "Z")
    stopped = stop_tree(child, LONG, tag=processes.tag)
    assert stopped.exit_status == ExitStatus(code=3)
    assert not stopped.was_running
    assert stopped.signals == ()
    again = stop_tree(child, LONG, tag=processes.tag)
    assert (again.exit_status, again.signals) == (ExitStatus(code=3), ())


def test_a_program_that_died_and_left_a_child(processes) -> None:
    root = processes.python(
        LEAVES_A_CHILD.format(where="").replace(
            "print('up')\ntime.sleep(60)", "raise SystemExit(4)"
        )
    )
    child = processes.identity("child")
    eventually(root.poll)
    stopped = stop_tree(root, SHORT, tag=processes.tag)
    assert stopped.exit_status == ExitStatus(code=4)
    assert not stopped.was_running
    assert [left.identity for left in stopped.leftovers] == [child]


def test_an_action_may_run_a_command_instead_of_a_signal(processes) -> None:
    child = processes.python(IGNORES_TERM, prints="up")
    ran: list[int] = []

    def run() -> None:
        ran.append(child.pid)
        child.identity.signal(signal.SIGUSR1)

    stopped = stop_tree(child, (StopAction(None, 30.0, run=run), StopAction(signal.SIGTERM, 30.0)))
    assert ran == [child.pid]
    assert stopped.signals == ()
    assert stopped.exit_status == ExitStatus(signal=signal.SIGUSR1)


def test_a_command_that_fails_is_reported_and_the_next_action_follows(processes) -> None:
    def fail() -> None:
        raise KvsimError("no such stop command")

    stopped = stop_tree(
        processes.python(SLEEP),
        (StopAction(None, 30.0, run=fail), StopAction(signal.SIGTERM, 30.0)),
    )
    assert stopped.failures == ("no such stop command",)
    assert stopped.exit_status == ExitStatus(signal=signal.SIGTERM)


def test_after_an_interrupt_everything_can_still_be_killed(processes) -> None:
    """The second Ctrl-C comes while the first one's orderly stop waits."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    child = processes.python(IGNORES_TERM, prints="up")
    with pytest.raises(KeyboardInterrupt):
        stop_tree(child, (StopAction(signal.SIGTERM, 0.0), StopAction(None, 30.0, run=interrupt)))
    assert child.identity.alive()
    assert kill_all([StopTarget(child)])[0].killed_by_us


LAUNCHER = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], start_new_session=True, stdout=-3, stderr=-3)
print(child.pid)
child.returncode = 0
"""


def test_a_process_known_only_by_its_identity(processes) -> None:
    """As for `kvsim down`: another kvsim started it, and that kvsim has ended."""
    launcher = subprocess.run(
        [*PYTHON, LAUNCHER, "sleep", "60"],
        env=clean_environment(processes.tag),
        capture_output=True,
        text=True,
        check=True,
    )
    root = identity.identify(int(launcher.stdout))
    assert root
    stopped = stop_tree(root, LONG, tag=processes.tag)
    assert stopped.was_running
    assert stopped.exit_status == ExitStatus()
    assert names(stopped) == ["SIGTERM"]
    assert not stopped.killed_by_us
    # Reaped as well, because we adopted it.
    assert identity.identify(root.pid) is None


def test_an_old_identity_hits_no_other_process(processes) -> None:
    child = processes.python(SLEEP)
    old = replace(child.identity, start_ticks=child.identity.start_ticks - 1)
    stopped = stop_tree(old, LONG)
    assert (stopped.was_running, stopped.signals) == (False, ())
    assert child.identity.alive()


def test_many_in_parallel_each_with_its_own_actions(processes) -> None:
    exiting = [
        processes.run(
            "sleep", "60", env=clean_environment(ProcessTag(processes.tag.run, f"n{number}"))
        )
        for number in range(20)
    ]
    ignoring = processes.python(IGNORES_TERM, prints="up")
    targets = [
        *(StopTarget(child, actions=LONG) for child in exiting),
        StopTarget(ignoring, actions=SHORT),
    ]
    results = stop_all(targets)
    assert [result.exit_status for result in results[:-1]] == [
        ExitStatus(signal=signal.SIGTERM)
    ] * 20
    assert results[-1].ignored == ("SIGTERM",)


def test_a_deadline_cuts_every_sequence_short(processes) -> None:
    stopped = stop_all(
        [StopTarget(processes.python(IGNORES_TERM, prints="up"), actions=LONG)], Deadline.after(0.1)
    )[0]
    assert stopped.killed_by_us
    # Not ignored: the signal had not had its time.
    assert stopped.ignored == ()
    assert stopped.took_s < 10


def test_kill_all_sends_only_kill(processes) -> None:
    children = [processes.python(EXITS_ON_TERM, prints="up"), processes.python(SLEEP)]
    results = kill_all([StopTarget(child, processes.tag) for child in children])
    assert {result.exit_status for result in results} == {ExitStatus(signal=signal.SIGKILL)}
    assert all(names(result) == ["SIGKILL"] for result in results)


def test_a_tree_can_be_killed_from_another_thread(processes) -> None:
    child = processes.python(IGNORES_TERM, prints="up")
    thread = threading.Thread(target=lambda: kill_all([StopTarget(child, processes.tag)]))
    thread.start()
    thread.join()
    assert child.poll() == ExitStatus(signal=signal.SIGKILL)


def test_a_terminal_is_drained_before_stop_returns(processes) -> None:
    code = EXITS_ON_TERM.replace("sys.exit(0)", "(os.write(1, b'bye\\n'), sys.exit(0))")
    child = processes.python(code, prints="up", pty=True)
    stop_tree(child, LONG)
    assert processes.output() == "up\nbye\n"
    assert child.drain and child.drain.poll() is not None


def test_pidfds_never_use_up_the_open_files(processes) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    children = [processes.run("sleep", "60") for _ in range(40)]
    few = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir()) + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    try:
        results = stop_all([StopTarget(child, actions=LONG) for child in children])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert {result.exit_status for result in results} == {ExitStatus(signal=signal.SIGTERM)}


def test_it_works_with_no_file_descriptor_left(processes, monkeypatch) -> None:
    def none_left(pid: int) -> int:
        raise OSError(24, "Too many open files")

    child = processes.python(IGNORES_TERM, prints="up")
    monkeypatch.setattr(os, "pidfd_open", none_left)
    assert stop_tree(child, SHORT).killed_by_us


def test_no_handle_is_left_open(processes) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    stop_tree(
        processes.python(LEAVES_A_CHILD.format(where=""), prints="up"), SHORT, tag=processes.tag
    )
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_only_a_look_that_began_after_its_time_shows_that_a_signal_was_ignored(processes) -> None:
    """kvsim may have been kept from looking: a snapshot from before proves nothing."""
    target = StopTarget(processes.python(IGNORES_TERM, prints="up"), processes.tag, SHORT)
    termination = Termination(target, None)
    try:
        termination.advance(Snapshot(), 0.0)
        ends = termination.action_ends
        termination.advance(Snapshot(), ends - 0.01)
        assert termination.ignored == []
        termination.advance(Snapshot(), ends + 0.01)
        assert termination.ignored == ["SIGTERM"]
    finally:
        kill_all([target])
        termination.close()
