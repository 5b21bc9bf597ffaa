"""Ending whole trees, however they resist."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from kvsim.errors import KvsimError
from kvsim.process import identity, proc, tree
from kvsim.process.child import Ended
from kvsim.process.environment import Mark, clean
from kvsim.process.ladder import Step, Target, kill_all, stop_all, stop_tree
from kvsim.waiting import Deadline
from tests.process.stage import PYTHON, SLEEP, soon

SHORT = (Step(signal.SIGTERM, 0.2),)
LONG = (Step(signal.SIGTERM, 30.0),)
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); time.sleep(60)"
POLITE = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print('up')
time.sleep(60)
"""


def names(stopped) -> list[str]:
    return [name for name, _ in stopped.signals]


def test_a_polite_program_exits_by_itself(stage) -> None:
    stopped = stop_tree(stage.python(POLITE, says="up"), LONG, mark=stage.mark)
    assert stopped.ended == Ended(status=0)
    assert names(stopped) == ["SIGTERM"]
    assert stopped.was_running
    assert not stopped.killed_by_us
    assert (stopped.ignored, stopped.leftovers, stopped.survivors) == ((), (), ())


def test_one_that_ignores_term_is_killed_and_told_on(stage) -> None:
    stopped = stop_tree(stage.python(DEAF, says="up"), SHORT, mark=stage.mark)
    assert stopped.ended == Ended(signal=signal.SIGKILL)
    assert stopped.killed_by_us
    assert stopped.ignored == ("SIGTERM",)
    assert names(stopped) == ["SIGTERM", "SIGKILL"]
    assert stopped.signals[1][1] >= 0.2


def test_several_signals_in_order(stage) -> None:
    steps = (Step(signal.SIGINT, 0.1), Step(signal.SIGQUIT, 30.0))
    code = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('up'); time.sleep(60)"
    stopped = stop_tree(stage.python(code, says="up"), steps)
    assert names(stopped) == ["SIGINT", "SIGQUIT"]
    assert stopped.ignored == ("SIGINT",)
    assert stopped.ended == Ended(signal=signal.SIGQUIT)


def test_a_paused_program_is_continued_so_that_it_sees_term(stage) -> None:
    child = stage.python(POLITE, says="up")
    child.identity.signal(signal.SIGSTOP)
    soon(child.identity.stopped)
    stopped = stop_tree(child, LONG)
    assert names(stopped) == ["SIGTERM", "SIGCONT"]
    assert stopped.ended == Ended(status=0)


HOLDS_ON = """
import os, signal, time
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    {where}
    print('child', os.getpid())
    time.sleep(60)
print('up')
time.sleep(60)
"""


def test_a_child_in_the_group_that_outlives_its_parent(stage) -> None:
    root = stage.python(HOLDS_ON.format(where=""), says="up")
    child = stage.identity("child")
    stopped = stop_tree(root, SHORT, mark=stage.mark)
    assert stopped.ended == Ended(signal=signal.SIGTERM)
    assert not stopped.killed_by_us
    assert [left.identity for left in stopped.leftovers] == [child]
    assert f"pid {child.pid} (" in stopped.leftovers[0].text
    assert stopped.ignored == ()
    assert proc.stat(child.pid) is None  # reaped as well: we adopted it


def test_a_child_that_left_the_group(stage) -> None:
    root = stage.python(HOLDS_ON.format(where="os.setsid()"), says="up")
    child = stage.identity("child")
    stopped = stop_tree(root, SHORT)
    assert [left.identity for left in stopped.leftovers] == [child]
    assert proc.stat(child.pid) is None


def test_a_stray_gets_the_signal_once_the_group_is_gone(stage) -> None:
    code = HOLDS_ON.format(where="os.setsid(); signal.signal(signal.SIGTERM, signal.SIG_DFL)")
    root = stage.python(code, says="up")
    child = stage.identity("child")
    stopped = stop_tree(root, LONG)
    assert names(stopped) == ["SIGTERM"]
    assert stopped.leftovers == ()
    assert proc.stat(child.pid) is None


def test_children_born_while_we_kill(stage) -> None:
    code = """
import os, time
print('up')
while True:
    if os.fork() == 0:
        os.setsid()
        time.sleep(60)
    time.sleep(0.002)
"""
    stopped = stop_tree(stage.python(code, says="up"), (), mark=stage.mark)
    assert stopped.killed_by_us
    assert stopped.survivors == ()
    assert tree.Snapshot().marks.get(stage.mark) is None


def test_one_that_had_ended_already(stage) -> None:
    child = stage.python("import sys; sys.exit(3)")
    soon(lambda: child.identity.state() == "Z")
    stopped = stop_tree(child, LONG, mark=stage.mark)
    assert stopped.ended == Ended(status=3)
    assert not stopped.was_running
    assert stopped.signals == ()
    again = stop_tree(child, LONG, mark=stage.mark)
    assert (again.ended, again.signals) == (Ended(status=3), ())


def test_one_that_died_and_left_a_child(stage) -> None:
    root = stage.python(
        HOLDS_ON.format(where="").replace("print('up')\ntime.sleep(60)", "raise SystemExit(4)")
    )
    child = stage.identity("child")
    soon(root.poll)
    stopped = stop_tree(root, SHORT, mark=stage.mark)
    assert stopped.ended == Ended(status=4)
    assert not stopped.was_running
    assert [left.identity for left in stopped.leftovers] == [child]


def test_a_step_may_be_an_act_instead_of_a_signal(stage) -> None:
    child = stage.python(DEAF, says="up")
    asked: list[int] = []

    def ask() -> None:
        asked.append(child.pid)
        child.identity.signal(signal.SIGUSR1)

    stopped = stop_tree(child, (Step(None, 30.0, act=ask), Step(signal.SIGTERM, 30.0)))
    assert asked == [child.pid]
    assert stopped.signals == ()
    assert stopped.ended == Ended(signal=signal.SIGUSR1)


def test_an_act_that_fails_is_noted_and_the_next_step_comes(stage) -> None:
    def fail() -> None:
        raise KvsimError("no such stop command")

    stopped = stop_tree(stage.python(SLEEP), (Step(None, 0.0, act=fail), Step(signal.SIGTERM, 30.0)))
    assert stopped.troubles == ("no such stop command",)
    assert stopped.ended == Ended(signal=signal.SIGTERM)


def test_after_an_interrupt_everything_can_still_be_killed(stage) -> None:
    """The second Ctrl-C comes while the first one's orderly stop waits."""

    def interrupt() -> None:
        raise KeyboardInterrupt

    child = stage.python(DEAF, says="up")
    with pytest.raises(KeyboardInterrupt):
        stop_tree(child, (Step(signal.SIGTERM, 0.0), Step(None, 30.0, act=interrupt)))
    assert child.identity.alive()
    assert kill_all([Target(child)])[0].killed_by_us


LAUNCHER = """
import subprocess, sys
child = subprocess.Popen(sys.argv[1:], start_new_session=True, stdout=-3, stderr=-3)
print(child.pid)
child.returncode = 0
"""


def test_a_process_known_only_by_its_identity(stage) -> None:
    """What `down` ends was started by another kvsim that is gone."""
    made = subprocess.run(
        [*PYTHON, LAUNCHER, "sleep", "60"], env=clean(stage.mark), capture_output=True, text=True, check=True
    )
    root = identity.of(int(made.stdout))
    assert root
    stopped = stop_tree(root, LONG, mark=stage.mark)
    assert stopped.was_running
    assert stopped.ended == Ended()
    assert names(stopped) == ["SIGTERM"]
    assert not stopped.killed_by_us
    assert identity.of(root.pid) is None  # reaped as well: we adopted it


def test_an_old_identity_hits_no_stranger(stage) -> None:
    child = stage.python(SLEEP)
    old = replace(child.identity, start_ticks=child.identity.start_ticks - 1)
    stopped = stop_tree(old, LONG)
    assert (stopped.was_running, stopped.signals) == (False, ())
    assert child.identity.alive()


def test_many_in_parallel_each_by_its_own_ladder(stage) -> None:
    polite = [stage.run("sleep", "60", env=clean(Mark(stage.mark.run, f"n{number}"))) for number in range(20)]
    deaf = stage.python(DEAF, says="up")
    targets = [*(Target(child, steps=LONG) for child in polite), Target(deaf, steps=SHORT)]
    results = stop_all(targets)
    assert [one.ended for one in results[:-1]] == [Ended(signal=signal.SIGTERM)] * 20
    assert results[-1].ignored == ("SIGTERM",)


def test_a_deadline_cuts_every_ladder_short(stage) -> None:
    stopped = stop_all([Target(stage.python(DEAF, says="up"), steps=LONG)], Deadline.after(0.1))[0]
    assert stopped.killed_by_us
    assert stopped.ignored == ()  # it had not had its time
    assert stopped.took_s < 10


def test_kill_all_asks_nobody(stage) -> None:
    children = [stage.python(POLITE, says="up"), stage.python(SLEEP)]
    results = kill_all([Target(child, stage.mark) for child in children])
    assert {one.ended for one in results} == {Ended(signal=signal.SIGKILL)}
    assert all(names(one) == ["SIGKILL"] for one in results)


def test_it_can_be_killed_from_another_thread(stage) -> None:
    child = stage.python(DEAF, says="up")
    thread = threading.Thread(target=lambda: kill_all([Target(child, stage.mark)]))
    thread.start()
    thread.join()
    assert child.poll() == Ended(signal=signal.SIGKILL)


def test_a_terminal_is_drained_before_stop_returns(stage) -> None:
    code = POLITE.replace("sys.exit(0)", "(os.write(1, b'bye\\n'), sys.exit(0))")
    child = stage.python(code, says="up", pty=True)
    stop_tree(child, LONG)
    assert stage.said() == "up\nbye\n"
    assert child.drain and child.drain.poll() is not None


def test_pidfds_never_use_up_the_open_files(stage) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    children = [stage.run("sleep", "60") for _ in range(40)]
    few = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir()) + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, hard))
    try:
        results = stop_all([Target(child, steps=LONG) for child in children])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert {one.ended for one in results} == {Ended(signal=signal.SIGTERM)}


def test_it_works_with_no_file_number_left(stage, monkeypatch) -> None:
    def none_left(pid: int) -> int:
        raise OSError(24, "Too many open files")

    child = stage.python(DEAF, says="up")
    monkeypatch.setattr(os, "pidfd_open", none_left)
    assert stop_tree(child, SHORT).killed_by_us


def test_no_handle_is_left_open(stage) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    stop_tree(stage.python(HOLDS_ON.format(where=""), says="up"), SHORT, mark=stage.mark)
    assert len(list(Path("/proc/self/fd").iterdir())) == before
