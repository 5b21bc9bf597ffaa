"""The proxy daemon of a cluster that is up: it stays only when detached, ends when unreachable."""

from __future__ import annotations

import os
import signal
import socket
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvsim.errors import UsageError
from kvsim.faults.network import LinkFault, broken_links
from kvsim.network.proxy import Route
from kvsim.network.proxy_handle import NewProxyDaemon, connect_daemon
from kvsim.network.rules import LinkRule
from kvsim.process.environment import ProcessTag
from kvsim.process.identity import Identity, identify
from kvsim.process.ports import reserve
from kvsim.process.worker import WorkerProcess, short_socket_path
from kvsim.waiting import Deadline, wait_until
from tests.leftovers import find

WITHIN_S = 15.0
SOCKET = "links"


def wait_for_end(process: Identity) -> None:
    wait_until(lambda: not process.alive(), Deadline.after(WITHIN_S), "the proxies to end")


@pytest.fixture
def target() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(WITHIN_S)
        yield server


@pytest.fixture
def daemon(tmp_path: Path, target: socket.socket) -> Iterator[NewProxyDaemon]:
    """A daemon with one link; `port` is the port of its route."""
    with reserve(1) as reservation:
        proxies = NewProxyDaemon(
            [Route("n1->n2", ("127.0.0.1", reservation.ports[0]), target.getsockname())],
            "seed",
            tmp_path / SOCKET,
            ProcessTag(uuid.uuid4().hex),
        )
    proxies.port = reservation.ports[0]
    process = identify(proxies.pid)
    yield proxies
    process.signal(signal.SIGTERM)
    proxies.close()
    wait_for_end(process)


def test_no_other_user_can_use_the_control_socket(daemon, tmp_path):
    assert stat.S_IMODE((tmp_path / SOCKET).stat().st_mode) == 0o600


def test_a_command_breaks_a_link_and_another_command_heals_it(daemon, target, tmp_path):
    daemon.detach()
    with connect_daemon(tmp_path / SOCKET) as links:
        LinkFault("partition", (("n1", "n2"), ("n2", "n1")), LinkRule("blackhole"), links).begin()
    with socket.create_connection(("127.0.0.1", daemon.port), WITHIN_S) as near:
        near.sendall(b"hello")
        with connect_daemon(tmp_path / SOCKET) as links:
            (fault,) = broken_links(links)
            wait_until(
                lambda: fault.measure()[0].took_effect is not None,
                Deadline.after(WITHIN_S),
                "bytes to be offered",
            )
            (item,) = fault.measure()
            assert (item.took_effect, item.message) == (True, "n1–n2: 5 bytes offered, 0 forwarded")
            assert [recovery.recovered for recovery in fault.recover()] == [True]
            assert broken_links(links) == []
    with socket.create_connection(("127.0.0.1", daemon.port), WITHIN_S) as near:
        near.sendall(b"again")
        # This is the connection whose bytes were swallowed.
        target.accept()[0].close()
        far, _ = target.accept()
        with far:
            far.settimeout(WITHIN_S)
            assert far.recv(5) == b"again"


def test_without_detaching_it_ends_with_its_parent(daemon, tmp_path):
    process = identify(daemon.pid)
    daemon.close()
    wait_for_end(process)
    assert not (tmp_path / SOCKET).exists()
    with (
        pytest.raises(UsageError, match="kvsim down, then kvsim up"),
        connect_daemon(tmp_path / SOCKET),
    ):
        pass


def test_a_command_that_ends_before_it_is_ready_leaves_no_process(tmp_path):
    path = tmp_path / SOCKET
    worker = WorkerProcess("kvsim.network.proxy_daemon", [str(path)])
    worker.send(b'{"routes": [], "seed": "s", "number": 1}\n')
    process = identify(worker.pid)
    # Close before the first reply.
    worker.close()
    wait_for_end(process)
    assert not path.exists()


def test_it_ends_when_its_control_socket_is_removed(daemon, tmp_path):
    process = identify(daemon.pid)
    daemon.detach()
    (tmp_path / SOCKET).unlink()
    wait_for_end(process)


def test_it_has_the_tag_of_its_cluster_by_which_leftovers_are_found(daemon):
    assert os.getpid() not in {leftover.identity.pid for leftover in find()}
    assert daemon.pid in {leftover.identity.pid for leftover in find()}


def test_a_silent_or_malformed_client_does_not_stop_it(daemon, tmp_path):
    daemon.detach()
    with connect_daemon(tmp_path / SOCKET), socket.socket(socket.AF_UNIX) as silent:
        with short_socket_path(tmp_path / SOCKET) as name:
            silent.connect(name)
        silent.sendall(b"what?\n")
        silent.settimeout(WITHIN_S)
        assert silent.recv(10) == b""
        with connect_daemon(tmp_path / SOCKET) as links:
            assert links.links == {"n1->n2"}
