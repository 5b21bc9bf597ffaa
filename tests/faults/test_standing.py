"""Link proxies that stand for as long as a cluster that is up: they stay only when told to, and end when nobody could speak to them."""

from __future__ import annotations

import os
import signal
import socket
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvsim.errors import UsageError
from kvsim.faults.links.fault import LinkFault
from kvsim.faults.links.pump import Road
from kvsim.faults.links.rules import Rule
from kvsim.faults.links.standing import Starting, broken, standing
from kvsim.process.companion import Companion
from kvsim.process.environment import Mark
from kvsim.process.identity import Identity, of
from kvsim.process.leftovers import find
from kvsim.process.ports import reserve
from kvsim.process.resident import short
from kvsim.waiting import Deadline, wait_until

WITHIN_S = 15.0
SOCKET = "links"


def gone(one: Identity) -> None:
    wait_until(lambda: not one.alive(), Deadline.after(WITHIN_S), "the proxies to end")


@pytest.fixture
def target() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WITHIN_S)
        yield server


@pytest.fixture
def starting(tmp_path: Path, target: socket.socket) -> Iterator[Starting]:
    """Proxies for one link, and the port of its road."""
    with reserve(1) as reservation:
        made = Starting(
            [Road("n1->n2", ("127.0.0.1", reservation.ports[0]), target.getsockname())],
            "seed",
            tmp_path / SOCKET,
            Mark(uuid.uuid4().hex),
        )
    made.port = reservation.ports[0]
    process = of(made.pid)
    yield made
    process.signal(signal.SIGTERM)
    made.close()
    gone(process)


def test_what_one_command_breaks_another_sees_and_heals(starting, target, tmp_path):
    starting.stay()
    with standing(tmp_path / SOCKET) as links:
        LinkFault("partition", (("n1", "n2"), ("n2", "n1")), Rule("blackhole"), "blackhole", links).begin()
    with socket.create_connection(("127.0.0.1", starting.port), WITHIN_S) as near:
        near.sendall(b"hello")
        with standing(tmp_path / SOCKET) as links:
            (fault,) = broken(links)
            wait_until(
                lambda: fault.end()[0].bit is not None, Deadline.after(WITHIN_S), "bytes to be offered"
            )
            (receipt,) = fault.end()
            assert (receipt.bit, receipt.says) == (True, "n1–n2: 5 bytes offered, 0 through")
            assert [healing.healed for healing in fault.heal()] == [True]
            assert broken(links) == []
    with socket.create_connection(("127.0.0.1", starting.port), WITHIN_S) as near:
        near.sendall(b"again")
        target.accept()[0].close()  # of the connection that was swallowed
        far, _ = target.accept()
        with far:
            far.settimeout(WITHIN_S)
            assert far.recv(5) == b"again"


def test_without_the_word_they_end_with_who_started_them(starting, tmp_path):
    process = of(starting.pid)
    starting.close()
    gone(process)
    assert not (tmp_path / SOCKET).exists()
    with pytest.raises(UsageError, match="kvsim down, then kvsim up"), standing(tmp_path / SOCKET):
        pass


def test_a_command_that_is_gone_before_they_are_ready_leaves_nothing(tmp_path):
    path = tmp_path / SOCKET
    companion = Companion("kvsim.faults.links.keeper", [str(path)])
    companion.send(b'{"roads": [], "seed": "s", "number": 1}\n')
    process = of(companion.pid)
    companion.close()  # does not wait for the word that it is ready
    gone(process)
    assert not path.exists()


def test_they_end_when_their_folder_is_taken_away(starting, tmp_path):
    process = of(starting.pid)
    starting.stay()
    (tmp_path / SOCKET).unlink()
    gone(process)


def test_they_carry_the_mark_of_their_cluster_by_which_leftovers_are_found(starting):
    assert os.getpid() not in {one.identity.pid for one in find()}
    assert starting.pid in {one.identity.pid for one in find()}


def test_a_caller_that_says_nothing_or_nonsense_does_not_stop_them(starting, tmp_path):
    starting.stay()
    with standing(tmp_path / SOCKET), socket.socket(socket.AF_UNIX) as silent:
        with short(tmp_path / SOCKET) as name:
            silent.connect(name)
        silent.sendall(b"what?\n")
        silent.settimeout(WITHIN_S)
        assert silent.recv(10) == b""
        with standing(tmp_path / SOCKET) as links:
            assert links.links == {"n1->n2"}
