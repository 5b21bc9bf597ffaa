"""Who listens on a port: the kernel's word, not the answer's."""

from __future__ import annotations

import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.process import identity, inet_diag, sockets, tree
from kvsim.process.ports import reserve
from kvsim.process.sockets import Listener, Ownership
from tests.process.stage import soon

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


def serve(stage, port: int, host: str = "127.0.0.1", shared: bool = False):
    child = stage.python(SERVE, host, str(port), str(int(shared)))
    soon(lambda: sockets.listening([child.identity]), "a listener")
    return child.identity


def test_our_own_listener(stage, port) -> None:
    one = serve(stage, port)
    owned = sockets.owned_by(port, [one])
    assert owned.owned
    assert [(listener.address, listener.pid) for listener in owned.ours] == [("127.0.0.1", one.pid)]
    assert owned.describe() == f"listens on 127.0.0.1 port {port}"


def test_yesterdays_server_is_named_not_believed(stage, port) -> None:
    one = serve(stage, port)
    owned = sockets.owned_by(port, [])
    assert not owned.owned
    assert f"is held by pid {one.pid} (" in owned.describe()
    assert sockets.holder("127.0.0.1", port).pid == one.pid
    assert sockets.holder("127.0.0.1", port).describe().startswith(f"pid {one.pid} (")


def test_nobody(port) -> None:
    assert sockets.owned_by(port, []).describe() == f"nobody listens on port {port}"
    assert sockets.holder("127.0.0.1", port) is None
    assert sockets.listeners(port) == []


def test_a_child_may_hold_the_port_for_its_parent(stage, port) -> None:
    code = SERVE.replace("print('up')", "os.fork() and (server.close() or time.sleep(60))")
    root = stage.python(code, "127.0.0.1", str(port), "0").identity
    soon(lambda: sockets.owned_by(port, tree.members(root)).owned, "a listener in the tree")
    soon(lambda: not sockets.owned_by(port, [root]).owned, "the parent letting go")


def test_a_port_shared_with_a_stranger_is_not_ours(stage, port) -> None:
    mine = serve(stage, port, shared=True)
    stranger = serve(stage, port, shared=True)
    owned = sockets.owned_by(port, [mine])
    assert (len(owned.ours), len(owned.strangers), owned.owned) == (1, 1, False)
    assert f"also held by pid {stranger.pid}" in owned.describe()
    assert sockets.owned_by(port, [mine, stranger]).owned
    assert {one.pid for one in sockets.holders(port)} == {mine.pid, stranger.pid}


@pytest.mark.parametrize(
    ("host", "owned"), [("0.0.0.0", True), ("::", True), ("::1", False), ("127.0.0.2", False)]
)
def test_the_address_counts(stage, port, host: str, owned: bool) -> None:
    if ":" in host and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    one = serve(stage, port, host)
    found = sockets.owned_by(port, [one])
    assert found.owned is owned
    assert [listener.address for listener in found.ours] == [host]
    assert ("not on 127.0.0.1" in found.describe()) is not owned


def test_a_node_on_another_port_than_told(stage, port) -> None:
    one = serve(stage, port)
    assert [(found.address, found.port) for found in sockets.listening([one])] == [("127.0.0.1", port)]


def test_unix_sockets(stage, tmp_path) -> None:
    code = "import socket, sys, time; s = socket.socket(1); s.bind(sys.argv[1]); s.listen(); time.sleep(60)"
    one = stage.python(code, str(tmp_path / "door")).identity
    soon(lambda: sockets.unix_listeners([one]) == [str(tmp_path / "door")], "the socket")


def test_both_ways_of_asking_agree(stage, port, monkeypatch) -> None:
    serve(stage, port)
    fast = sockets.listeners(port)
    monkeypatch.setattr(sockets, "_from_kernel", lambda: None)
    assert sockets.listeners(port) == fast
    monkeypatch.undo()
    assert sockets.listeners(port, seen_by=os.getpid()) == fast


def test_a_listener_that_refuses_ipv4(stage, port) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    only = "server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)"
    one = stage.python(SERVE.replace("server.bind", f"{only}\nserver.bind"), "::", str(port), "0").identity
    soon(lambda: sockets.listening([one]), "a listener")
    assert not sockets.owned_by(port, [one]).owned
    assert sockets.owned_by(port, [one], "::1").owned


@given(st.binary(max_size=300))
def test_broken_netlink_answers_end(data: bytes) -> None:
    assert sum(len(body) for _, body in inet_diag.messages(data)) <= len(data)


@given(st.ip_addresses())
def test_addresses_as_the_kernel_writes_them(address) -> None:
    packed = address.packed
    words = [packed[place : place + 4][::-1].hex().upper() for place in range(0, len(packed), 4)]
    assert sockets._place(("".join(words) + ":1F90").encode()) == (str(address), 8080)


def test_nothing_is_owned_of_nothing() -> None:
    assert not Ownership(1, "127.0.0.1", (), ()).owned
    assert Listener("127.0.0.1", 1, 1).reaches("127.0.0.1")
    assert sockets.unix_listeners([identity.of(os.getpid())]) is not None
