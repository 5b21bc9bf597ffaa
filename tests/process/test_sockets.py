"""Which process listens on a port, by the kernel's tables and not by what answers there."""

from __future__ import annotations

import ipaddress
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.process import inet_diag, process_tree, sockets
from kvsim.process.ports import reserve
from kvsim.process.sockets import Listener, Ownership
from tests.process_fixtures import eventually

SERVE = """
import os, socket, sys, time
family = socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET
server = socket.socket(family)
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, int(sys.argv[3]))
server.bind((sys.argv[1], int(sys.argv[2])))
server.listen()
print('up')
time.sleep(60)
"""


@pytest.fixture
def port():
    with reserve(1) as reservation:
        yield reservation.ports[0]


def serve(processes, port: int, host: str = "127.0.0.1", shared: bool = False):
    child = processes.python(SERVE, host, str(port), str(int(shared)))
    eventually(lambda: sockets.listening([child.identity]), "a listener")
    return child.identity


def test_our_own_listener(processes, port) -> None:
    server = serve(processes, port)
    owned = sockets.owned_by(port, [server])
    assert owned.owned
    assert [(listener.address, listener.pid) for listener in owned.own] == [
        ("127.0.0.1", server.pid)
    ]
    assert owned.describe() == f"listens on 127.0.0.1 port {port}"


def test_a_foreign_server_is_named_and_not_owned(processes, port) -> None:
    server = serve(processes, port)
    owned = sockets.owned_by(port, [])
    assert not owned.owned
    assert f"is in use by pid {server.pid} (" in owned.describe()
    assert [holder.pid for holder in sockets.holders(port, "127.0.0.1")] == [server.pid]
    assert sockets.describe_holder(port, "127.0.0.1").startswith(f"pid {server.pid} (")


def test_a_port_without_listener(port) -> None:
    assert sockets.owned_by(port, []).describe() == f"no process listens on port {port}"
    assert sockets.describe_holder(port, "127.0.0.1") == "a process that kvsim cannot identify"
    assert sockets.listeners(port) == []


def test_a_child_may_hold_the_port_for_its_parent(processes, port) -> None:
    code = SERVE.replace("print('up')", "os.fork() and (server.close() or time.sleep(60))")
    root = processes.python(code, "127.0.0.1", str(port), "0").identity
    eventually(
        lambda: sockets.owned_by(port, process_tree.members(root)).owned, "a listener in the tree"
    )
    eventually(lambda: not sockets.owned_by(port, [root]).owned, "the parent letting go")


def test_a_port_shared_with_a_foreign_process_is_not_owned(processes, port) -> None:
    ours = serve(processes, port, shared=True)
    foreign = serve(processes, port, shared=True)
    owned = sockets.owned_by(port, [ours])
    assert (len(owned.own), len(owned.conflicting), owned.owned) == (1, 1, False)
    assert f"also in use by pid {foreign.pid}" in owned.describe()
    assert sockets.owned_by(port, [ours, foreign]).owned
    assert {holder.pid for holder in sockets.holders(port)} == {ours.pid, foreign.pid}


@pytest.mark.parametrize(
    ("host", "owned"), [("0.0.0.0", True), ("::", True), ("::1", False), ("127.0.0.2", False)]
)
def test_the_address_decides(processes, port, host: str, owned: bool) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    server = serve(processes, port, host)
    found = sockets.owned_by(port, [server])
    assert found.owned is owned
    assert [listener.address for listener in found.own] == [host]
    assert ("not on 127.0.0.1" in found.describe()) is not owned


def test_all_sockets_of_a_tree(processes, port) -> None:
    server = serve(processes, port)
    assert [(found.address, found.port) for found in sockets.listening([server])] == [
        ("127.0.0.1", port)
    ]


def test_netlink_and_proc_agree(processes, port, monkeypatch) -> None:
    serve(processes, port)
    fast = sockets.listeners(port)
    monkeypatch.setattr(sockets, "_from_kernel", lambda: None)
    assert sockets.listeners(port) == fast
    monkeypatch.undo()
    assert sockets.listeners(port, namespace_of=os.getpid()) == fast


def test_a_listener_that_refuses_ipv4(processes, port) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    only = "server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)"
    server = processes.python(
        SERVE.replace("server.bind", f"{only}\nserver.bind"), "::", str(port), "0"
    ).identity
    eventually(lambda: sockets.listening([server]), "a listener")
    assert not sockets.owned_by(port, [server]).owned
    assert sockets.owned_by(port, [server], "::1").owned


@given(st.binary(max_size=300))
def test_parsing_of_broken_netlink_replies_ends(data: bytes) -> None:
    assert sum(len(body) for _, body in inet_diag.messages(data)) <= len(data)


@given(st.ip_addresses())
def test_addresses_as_the_kernel_writes_them(address) -> None:
    packed = address.packed
    words = [packed[start : start + 4][::-1].hex().upper() for start in range(0, len(packed), 4)]
    text, port = sockets._address(("".join(words) + ":1F90").encode())
    assert (ipaddress.ip_address(text), port) == (address, 8080)


def test_an_ipv6_socket_bound_to_an_ipv4_address_takes_its_connections() -> None:
    """As a Java program does that binds 127.0.0.1. Python before 3.13 writes `::ffff:7f00:1`."""
    with socket.socket(socket.AF_INET6) as server:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind(("::ffff:127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        (fast,) = sockets.listeners(port)
        (slow,) = sockets.listeners(port, namespace_of=os.getpid())
    for listener in (fast, slow):
        assert listener.address == "::ffff:127.0.0.1"
        assert listener.reaches("127.0.0.1")
        assert not listener.reaches("127.0.0.2")


def test_nothing_is_owned_without_a_listener() -> None:
    assert not Ownership(1, "127.0.0.1", (), ()).owned
    assert Listener("127.0.0.1", 1, 1).reaches("127.0.0.1")


@pytest.mark.parametrize(
    ("listener", "host", "reaches"),
    [
        ("::ffff:7f00:1", "127.0.0.1", True),
        ("127.0.0.1", "::ffff:127.0.0.1", True),
        ("::ffff:0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "localhost", True),
        ("0:0:0:0:0:0:0:1", "::1", True),
        ("::", "localhost", True),
        ("0.0.0.0", "::1", False),
        ("127.0.0.2", "127.0.0.1", False),
    ],
)
def test_addresses_are_compared_by_value(listener, host, reaches):
    assert Listener(listener, 1, 1).reaches(host) is reaches
