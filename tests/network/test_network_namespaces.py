"""Network namespaces on the real kernel: what each rule does, and what is counted. Needs root."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from kvsim.errors import Exit, RunInvalid
from kvsim.faults.network import LinkFault
from kvsim.network.netns.router_handle import NetworkNamespaces, NoNetwork
from kvsim.network.rules import UPSTREAM, LinkRule
from kvsim.process.netns import CURRENT, in_namespace, open_current
from kvsim.process.sockets import listeners
from kvsim.waiting import Deadline, wait_until
from tests.network.echo_server import WAITS_S, EchoServer, echo, is_reset, is_silent

PORT = 10_000
BOTH = (("client", "n1"), ("n1", "client"))


def unavailable() -> str | None:
    """Why there are no namespaces here."""
    try:
        NetworkNamespaces(["client", "n1"], "1").close()
    except NoNetwork as error:
        return str(error)
    return None


pytestmark = pytest.mark.skipif(unavailable() is not None, reason=str(unavailable()))


@dataclass
class Link:
    """A client's host and the host of an echo server."""

    network: NetworkNamespaces

    def connect(self, timeout_s: float = WAITS_S) -> socket.socket:
        with in_namespace(self.network.namespaces["client"]):
            sock = socket.socket()
        sock.settimeout(timeout_s)
        try:
            sock.connect((self.network.addresses["n1"], PORT))
        except BaseException:
            sock.close()
            raise
        return sock

    def fault(self, rule: LinkRule, flows=BOTH) -> LinkFault:
        return LinkFault(rule.kind, flows, rule, self.network)


@pytest.fixture
def link() -> Iterator[Link]:
    with NetworkNamespaces(["client", "n1", "n2"], "1") as network:
        with in_namespace(network.namespaces["n1"]):
            server = EchoServer(socket.create_server((network.addresses["n1"], PORT)))
        yield Link(network)
        server.close()


def recovers(fault: LinkFault) -> bool:
    return all(recovery.recovered for recovery in fault.recover())


def needs_delay_queue(link: Link) -> None:
    if link.network.cannot_delay:
        pytest.skip(f"packets cannot be delayed here: {link.network.cannot_delay}")


def current_namespace() -> Path:
    """The namespace of this thread, by its name."""
    return Path(CURRENT).readlink()


def interfaces() -> set[Path]:
    return set(Path("/sys/class/net").iterdir())


# --- the network ------------------------------------------------------------------------------


def test_a_network_is_invisible_outside_and_leaves_no_process():
    before = current_namespace(), interfaces()
    with NetworkNamespaces(["client", "n1"], "1") as network:
        with (
            in_namespace(network.namespaces["n1"]),
            socket.create_server((network.addresses["n1"], PORT)),
        ):
            assert current_namespace() != before[0]
            assert [listener.port for listener in listeners()] == [PORT]
        assert PORT not in [
            listener.port for listener in listeners() if listener.address == network.addresses["n1"]
        ]
        assert (current_namespace(), interfaces()) == before
        router = Path(f"/proc/{network.pid}")
    assert not router.exists()


def test_a_child_stays_in_the_namespace_and_its_parent_leaves_it():
    with NetworkNamespaces(["n1", "n2"], "1") as network:
        with in_namespace(network.namespaces["n1"]):
            inside = current_namespace()
            of_child = subprocess.run(
                ["readlink", "/proc/self/ns/net"], capture_output=True, text=True
            ).stdout
        assert of_child.strip() == str(inside) != str(current_namespace())


def test_the_thread_leaves_the_namespace_after_an_error():
    home = current_namespace()
    with (
        NetworkNamespaces(["n1", "n2"], "1") as network,
        pytest.raises(KeyError),
        in_namespace(network.namespaces["n1"]),
    ):
        raise KeyError
    assert current_namespace() == home


def test_two_networks_with_the_same_addresses_are_separate():
    with (
        NetworkNamespaces(["client", "n1"], "1") as first,
        NetworkNamespaces(["client", "n1"], "1") as second,
    ):
        with in_namespace(first.namespaces["n1"]):
            server = socket.create_server((first.addresses["n1"], PORT))
        with server, in_namespace(second.namespaces["client"]), socket.socket() as sock:
            sock.settimeout(WAITS_S)
            with pytest.raises(ConnectionRefusedError):
                sock.connect((second.addresses["n1"], PORT))


def test_without_nft_the_error_names_what_to_install(monkeypatch, tmp_path):
    (tmp_path / "ip").symlink_to(shutil.which("ip"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoNetwork, match=r"no program `nft` here \(Debian: nftables\)") as raised:
        NetworkNamespaces(["client", "n1"], "1")
    assert raised.value.exit is Exit.USAGE


def test_a_handle_on_the_current_namespace():
    net = open_current()
    try:
        with in_namespace(net):
            assert os.fstat(net).st_ino == Path(CURRENT).stat().st_ino
    finally:
        os.close(net)


# --- rules ------------------------------------------------------------------------------------


def test_without_a_fault_everything_passes(link):
    data = os.urandom(2_000_000)
    with link.connect() as sock:
        sender = threading.Thread(target=sock.sendall, args=(data,))
        sender.start()
        got = bytearray()
        while len(got) < len(data):
            got += sock.recv(65536)
        sender.join()
    assert bytes(got) == data


def test_a_cut_resets_open_connections_and_new_ones_until_it_ends(link):
    fault = link.fault(LinkRule("cut"))
    with link.connect() as sock:
        assert echo(sock, b"x") == b"x"
        fault.begin()
        assert is_reset(sock, send=b"x")
    with pytest.raises(ConnectionRefusedError):
        link.connect()
    (item,) = fault.measure()
    assert (
        item.took_effect is True and item.measured["refused"] == 1 and item.measured["resets"] >= 1
    )
    assert recovers(fault)
    with link.connect() as sock:
        assert echo(sock, b"y") == b"y"


def test_a_blackhole_swallows_and_what_was_sent_arrives_when_tcp_sends_it_again(link):
    fault = link.fault(LinkRule("blackhole"))
    with link.connect() as sock:
        assert echo(sock, b"x") == b"x"
        fault.begin()
        sock.sendall(b"late")
        assert is_silent(sock)
        (item,) = fault.measure()
        assert (
            item.took_effect is True
            and item.measured["forwarded"] == 0
            and item.measured["offered"] > 0
        )
        assert recovers(fault)
        assert sock.recv(4) == b"late"


def test_a_fault_in_a_single_direction(link):
    """Requests arrive, replies do not."""
    fault = link.fault(LinkRule("blackhole"), flows=(("n1", "client"),))
    with link.connect() as sock:
        assert echo(sock, b"x") == b"x"
        fault.begin()
        sock.sendall(b"abcd")
        assert is_silent(sock)
        assert link.network.stats(["n1->client"])["n1->client"][UPSTREAM]["forwarded"] == 0
        assert fault.measure()[0].took_effect is True
        assert recovers(fault)
        assert sock.recv(4) == b"abcd"


def test_a_stall_delivers_when_it_ends(link):
    needs_delay_queue(link)
    fault = link.fault(LinkRule("stall"))
    with link.connect() as sock:
        assert echo(sock, b"x") == b"x"
        fault.begin()
        sock.sendall(b"late")
        assert is_silent(sock)
        assert fault.measure()[0].took_effect is True
        assert recovers(fault)
        assert sock.recv(4) == b"late"


def test_a_delay_is_measured(link):
    needs_delay_queue(link)
    fault = link.fault(LinkRule(delay_s=0.03))
    with link.connect() as sock:
        fault.begin()
        assert echo(sock, b"x") == b"x"
        (item,) = fault.measure()
    assert item.took_effect is True and item.measured["held_s_min"] >= 0.03
    assert recovers(fault)


def test_bandwidth_is_limited(link):
    needs_delay_queue(link)
    fault = link.fault(LinkRule(bytes_per_s=100_000))
    with link.connect() as sock:
        fault.begin()
        for _ in range(4):
            assert len(echo(sock, bytes(2_000))) == 2_000
        (item,) = fault.measure()
    assert item.took_effect is True, item.message
    assert recovers(fault)


def test_a_reset_probability_of_one_resets_packets_with_data(link):
    fault = link.fault(LinkRule(reset_probability=1.0))
    with link.connect() as sock:
        fault.begin()
        assert is_reset(sock, send=b"x")
    assert fault.measure()[0].took_effect is True
    assert recovers(fault)


@pytest.mark.parametrize("mode", ["cut", "blackhole", "stall"])
def test_without_traffic_there_is_no_evidence(link, mode):
    if mode == "stall":
        needs_delay_queue(link)
    fault = link.fault(LinkRule(mode))
    fault.begin()
    assert fault.measure()[0].took_effect is None
    assert recovers(fault)


def test_only_the_links_of_the_fault_are_broken(link):
    fault = LinkFault("cut", (("n1", "n2"), ("n2", "n1")), LinkRule("cut"), link.network)
    fault.begin()
    with link.connect() as sock:
        assert echo(sock, b"x") == b"x"
    assert link.network.unreachable([("n1", "n2"), ("client", "n1")]) == ["n1->n2"]
    assert recovers(fault)


def test_a_router_that_has_ended_is_reported_and_does_not_recover(link):
    fault = link.fault(LinkRule("blackhole"))
    fault.begin()
    link.network.close()
    with pytest.raises(RunInvalid, match="the router and its rules have ended"):
        fault.measure()
    assert fault.recover()[0].recovered is False


def test_a_router_that_ended_by_itself_makes_the_run_invalid():
    with (
        pytest.raises(RunInvalid, match="the router and its rules have ended"),
        NetworkNamespaces(["n1", "n2"], "1") as network,
    ):
        os.kill(network.pid, signal.SIGKILL)


def test_a_namespace_ends_with_its_last_holder():
    """The kernel removes it, so kvsim does not have to."""
    with (
        NetworkNamespaces(["client", "n1"], "1") as network,
        in_namespace(network.namespaces["n1"]),
    ):
        name = current_namespace()
    wait_until(
        lambda: name not in held_namespaces(), Deadline.after(WAITS_S), "the namespace to be gone"
    )


def held_namespaces() -> set[Path]:
    """The network namespaces of all processes."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.add((process / "ns/net").readlink())
    return found
