"""Reserving ports across processes."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.process import ports
from kvsim.process.ports import BLOCK, LOWEST, NoPorts, allowed_range, can_listen, ephemeral_range, reserve
from tests.process.stage import soon

HOLD = """
import random, sys, time
sys.path.insert(0, sys.argv[1])
from kvsim.process.ports import reserve
held = reserve(int(sys.argv[2]), chooser=random.Random(7))
print(*held.ports, flush=True)
time.sleep(60)
"""
ROOT = str(Path(__file__).parents[2])


def hold(count: int) -> tuple[subprocess.Popen[str], set[int]]:
    argv = [sys.executable, "-I", "-S", "-c", HOLD, ROOT, str(count)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, {int(port) for port in process.stdout.readline().split()}


def test_below_the_range_the_kernel_uses_itself() -> None:
    with reserve(20) as held:
        assert len(set(held.ports)) == 20
        assert all(LOWEST <= port < ephemeral_range()[0] for port in held.ports)
        assert all(can_listen("127.0.0.1", port) for port in held.ports)


def test_two_processes_never_meet_and_death_releases() -> None:
    """All start their search at the same place."""
    first, mine = hold(30)
    second, theirs = hold(30)
    try:
        with reserve(30, chooser=random.Random(7)) as held:
            assert len(mine | theirs | set(held.ports)) == 90
    finally:
        for process in (first, second):
            process.send_signal(signal.SIGKILL)
            process.communicate()

    def free_again() -> bool:
        with reserve(30, chooser=random.Random(7)) as held:
            return set(held.ports) == mine

    soon(free_again, "the killed process's ports")


def test_released_ports_come_back() -> None:
    first = reserve(BLOCK, chooser=random.Random(3))
    with first, reserve(BLOCK, chooser=random.Random(3)) as second:
        assert not set(first.ports) & set(second.ports)
    with reserve(BLOCK, chooser=random.Random(3)) as again:
        assert again.ports == first.ports
    again.release()  # twice is fine


def test_a_port_in_use_is_passed_over() -> None:
    with reserve(BLOCK, chooser=random.Random(5)) as first:
        taken = first.ports[2]
    with socket.create_server(("127.0.0.1", taken)), reserve(BLOCK, chooser=random.Random(5)) as held:
        assert taken not in held.ports
        assert first.ports[0] in held.ports
        assert not can_listen("127.0.0.1", taken)


def test_a_port_where_a_connection_lingers_is_passed_over() -> None:
    """A server without SO_REUSEADDR could not bind it."""
    with reserve(1, chooser=random.Random(6)) as first:
        port = first.ports[0]
    address = ("127.0.0.1", port)
    with socket.create_server(address) as server, socket.create_connection(address) as client:
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first lingers
        client.recv(1)
    with reserve(1, chooser=random.Random(6)) as held:
        assert held.ports != [port]
        assert can_listen("127.0.0.1", port)


def test_children_do_not_inherit_a_reservation() -> None:
    with reserve(1) as held:
        assert not any(os.get_inheritable(lock.fileno()) for lock in held._locks)


def test_too_many_are_refused_and_nothing_is_kept(monkeypatch) -> None:
    monkeypatch.setattr(ports, "allowed_range", lambda ephemeral: range(20_000, 20_000 + 2 * BLOCK))
    with pytest.raises(NoPorts, match="only 1"):
        reserve(3 * BLOCK)
    with reserve(BLOCK) as held:
        assert held.ports


@given(st.integers(1, 65_000), st.integers(1, 65_535))
def test_there_is_always_a_range(low: int, high: int) -> None:
    found = allowed_range((min(low, high), max(low, high)))
    assert len(found) >= ports.ENOUGH
    assert found.stop <= 65_536
