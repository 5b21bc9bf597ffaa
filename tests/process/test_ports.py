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
from kvsim.process.ports import (
    BLOCK,
    LOWEST,
    NoPorts,
    allowed_range,
    ephemeral_range,
    reserve,
)
from tests.leftovers import can_listen
from tests.process_fixtures import eventually

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
    argv = [sys.executable, "-I", "-c", HOLD, ROOT, str(count)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    return process, {int(port) for port in process.stdout.readline().split()}


def test_ports_are_below_the_ephemeral_range() -> None:
    with reserve(20) as held:
        assert len(set(held.ports)) == 20
        assert all(LOWEST <= port < ephemeral_range()[0] for port in held.ports)
        assert all(can_listen("127.0.0.1", port) for port in held.ports)


def test_two_processes_never_meet_and_death_releases() -> None:
    """All start their search at the same block."""
    first, first_ports = hold(30)
    second, second_ports = hold(30)
    try:
        with reserve(30, chooser=random.Random(7)) as held:
            assert len(first_ports | second_ports | set(held.ports)) == 90
    finally:
        for process in (first, second):
            process.send_signal(signal.SIGKILL)
            process.communicate()

    def free_again() -> bool:
        with reserve(30, chooser=random.Random(7)) as held:
            # Any other program may take some of them meanwhile.
            return bool(first_ports & set(held.ports))

    eventually(free_again, "the killed process's ports")


@pytest.mark.parametrize("offset", [1, 2, 7, -1, 8, 10, 16, 100, 1000, 10000])
def test_ports_that_are_apart_leave_room_for_a_port_that_is_derived_from_each(offset: int) -> None:
    with reserve(9, apart=True) as held:
        derived = {port + offset for port in held.ports}
        assert not derived & set(held.ports)
        assert len(derived) == 9


def test_the_room_behind_a_port_is_given_to_no_other_process() -> None:
    with (
        reserve(3, apart=True, chooser=random.Random(5)) as held,
        reserve(60, chooser=random.Random(5)) as other,
    ):
        room = {port + step for port in held.ports for step in range(BLOCK)}
        assert not room & set(other.ports)


def test_a_port_whose_room_is_in_use_is_not_given() -> None:
    with reserve(1, apart=True, chooser=random.Random(11)) as held:
        port = held.ports[0]
    with (
        socket.create_server(("127.0.0.1", port + 1)),
        reserve(1, apart=True, chooser=random.Random(11)) as other,
    ):
        assert other.ports[0] != port


def test_released_ports_come_back() -> None:
    first = reserve(BLOCK, chooser=random.Random(3))
    with first, reserve(BLOCK, chooser=random.Random(3)) as second:
        assert not set(first.ports) & set(second.ports)
    with reserve(BLOCK, chooser=random.Random(3)) as again:
        assert again.ports == first.ports
    # A second time is allowed.
    again.release()


def test_a_port_in_use_is_skipped() -> None:
    with reserve(BLOCK, chooser=random.Random(5)) as first:
        taken = first.ports[2]
    with (
        socket.create_server(("127.0.0.1", taken)),
        reserve(BLOCK, chooser=random.Random(5)) as held,
    ):
        assert taken not in held.ports
        assert first.ports[0] in held.ports
        assert not can_listen("127.0.0.1", taken)


def test_a_port_where_a_connection_lingers_is_skipped() -> None:
    """A server without SO_REUSEADDR could not bind it."""
    with reserve(1, chooser=random.Random(6)) as first:
        port = first.ports[0]
    address = ("127.0.0.1", port)
    with socket.create_server(address) as server, socket.create_connection(address) as client:
        accepted, _ = server.accept()
        # The side that closes first lingers.
        accepted.close()
        client.recv(1)
    with reserve(1, chooser=random.Random(6)) as held:
        assert held.ports != [port]
        assert can_listen("127.0.0.1", port)


def test_children_do_not_inherit_a_reservation() -> None:
    with reserve(1) as held:
        assert not any(os.get_inheritable(lock.fileno()) for lock in held.locks)


def test_too_many_are_refused_and_nothing_is_kept(monkeypatch) -> None:
    monkeypatch.setattr(ports, "allowed_range", lambda ephemeral: range(20_000, 20_000 + 2 * BLOCK))
    with pytest.raises(NoPorts, match="only 1"):
        reserve(3 * BLOCK)
    with reserve(BLOCK) as held:
        assert held.ports


@given(st.integers(1, 65_000), st.integers(1, 65_535))
def test_there_is_always_a_range(low: int, high: int) -> None:
    found = allowed_range((min(low, high), max(low, high)))
    assert len(found) >= ports.RANGE_LENGTH_MIN
    assert found.stop <= 65_536
