"""A process is its pid, its start time and its boot."""

from __future__ import annotations

import os
import signal

import pytest
from msgspec.structs import replace

from kvsim.process import identity
from kvsim.process.identity import Identity
from tests.process_fixtures import SLEEP, eventually


def test_round_trip_through_json(processes) -> None:
    one = processes.python(SLEEP).identity
    assert Identity.from_json(one.to_json()) == one == identity.identify(one.pid)


def test_a_zombie_is_dead(processes) -> None:
    child = processes.python("pass")
    eventually(lambda: child.identity.state() == "Z")
    assert not child.identity.alive()
    assert child.poll().code == 0
    assert child.identity.state() is None
    assert not child.identity.signal(signal.SIGTERM)


def test_a_process_whose_first_thread_left_is_alive(processes) -> None:
    code = """
import _thread, ctypes, time
_thread.start_new_thread(time.sleep, (60,))
ctypes.CDLL(None).pthread_exit(None)
"""
    child = processes.python(code)
    eventually(lambda: child.identity.state() == "Z")
    assert child.identity.alive()
    assert child.poll() is None


@pytest.mark.parametrize("change", [{"start_ticks": 1}, {"boot_id": "another boot"}])
def test_a_pid_that_was_used_again_is_another_process(processes, change: dict[str, object]) -> None:
    child = processes.python(SLEEP)
    old = replace(child.identity, **change)
    assert not old.alive()
    assert old.state() is None
    assert not old.signal(signal.SIGKILL)
    assert old.open() is None
    assert child.identity.alive()


def test_stopped_means_every_thread(processes) -> None:
    code = (
        "import _thread, time; _thread.start_new_thread(time.sleep, (60,)); "
        "print('up'); time.sleep(60)"
    )
    child = processes.python(code, prints="up")
    assert not child.identity.stopped()
    assert child.identity.signal(signal.SIGSTOP)
    eventually(child.identity.stopped)
    assert child.identity.alive()
    child.identity.signal(signal.SIGCONT)
    eventually(lambda: not child.identity.stopped())


def test_works_without_pidfds(processes, monkeypatch) -> None:
    def missing(pid: int) -> int:
        raise OSError(38, "Function not implemented")

    child = processes.python(SLEEP)
    with monkeypatch.context() as patch:
        patch.setattr(os, "pidfd_open", missing)
        assert child.identity.signal(signal.SIGKILL)
        assert not replace(child.identity, start_ticks=1).signal(signal.SIGKILL)
    eventually(lambda: child.poll() is not None)


def test_a_description_has_pid_and_command(processes) -> None:
    child = processes.python(SLEEP)
    assert child.identity.describe().startswith(f"pid {child.pid}")
    eventually(lambda: "time.sleep(60)" in child.identity.describe())
