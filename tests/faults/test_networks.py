"""Hosts in network namespaces on the real kernel: what each rule does to connections, and what is counted of it. Needs root."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kvsim.errors import Exit, RunInvalid
from kvsim.faults.links.fault import LinkFault
from kvsim.faults.links.rules import Rule
from kvsim.faults.netns.child import Network, NoNetwork
from kvsim.process.netns import OWN, inside, own
from kvsim.process.sockets import listeners
from kvsim.waiting import Deadline, wait_until

WAITS_S = 5.0
PORT = 10_000
BOTH = (("client", "n1"), ("n1", "client"))


def why_not() -> str | None:
    """Why there are no namespaces here."""
    try:
        Network(["client", "n1"], "1").close()
    except NoNetwork as error:
        return str(error)
    return None


pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@dataclass
class Echo:
    """A server on a host that sends back what it gets."""

    listener: socket.socket
    threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._spawn(self._accept)

    def _spawn(self, target, *args) -> None:
        self.threads.append(threading.Thread(target=target, args=args))
        self.threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._spawn(self._serve, self.listener.accept()[0])

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(WAITS_S)
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                connection.sendall(data)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(2 * WAITS_S)


@dataclass
class Line:
    """A client's host and the host of an echo server."""

    network: Network

    def connect(self, timeout_s: float = WAITS_S) -> socket.socket:
        with inside(self.network.nets["client"]):
            sock = socket.socket()
        sock.settimeout(timeout_s)
        try:
            sock.connect((self.network.addresses["n1"], PORT))
        except BaseException:
            sock.close()
            raise
        return sock

    def fault(self, rule: Rule, what: str, flows=BOTH) -> LinkFault:
        return LinkFault(what, flows, rule, what, self.network)


@pytest.fixture
def line() -> Iterator[Line]:
    with Network(["client", "n1", "n2"], "1") as network:
        with inside(network.nets["n1"]):
            echo = Echo(socket.create_server((network.addresses["n1"], PORT)))
        yield Line(network)
        echo.close()


def said(sock: socket.socket, data: bytes) -> bytes:
    """Send, and receive as much again."""
    sock.sendall(data)
    got = b""
    while len(got) < len(data) and (chunk := sock.recv(65536)):
        got += chunk
    return got


def is_reset(sock: socket.socket) -> bool:
    try:
        sock.sendall(b"x")
        return sock.recv(1) == b""
    except ConnectionError:
        return True


def silent(sock: socket.socket) -> bool:
    sock.settimeout(0.1)
    try:
        return not sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(WAITS_S)


def healed(fault: LinkFault) -> bool:
    return all(one.healed for one in fault.heal())


def holds(line: Line) -> None:
    if line.network.cannot_hold:
        pytest.skip(f"packets cannot be made to wait here: {line.network.cannot_hold}")


def here() -> Path:
    """The namespace this thread is in, by its name."""
    return Path(OWN).readlink()


def interfaces() -> set[Path]:
    return set(Path("/sys/class/net").iterdir())


# --- the network -----------------------------------------------------------------------------------------------------


def test_nobody_outside_sees_it_and_nothing_of_it_is_left():
    before = here(), interfaces()
    with Network(["client", "n1"], "1") as network:
        with inside(network.nets["n1"]), socket.create_server((network.addresses["n1"], PORT)):
            assert here() != before[0]
            assert [one.port for one in listeners()] == [PORT]
        assert PORT not in [one.port for one in listeners() if one.address == network.addresses["n1"]]
        assert (here(), interfaces()) == before
        hub = Path(f"/proc/{network.pid}")
    assert not hub.exists()


def test_what_is_started_inside_stays_there_and_whoever_started_it_comes_back():
    with Network(["n1", "n2"], "1") as network:
        with inside(network.nets["n1"]):
            there = here()
            seen = subprocess.run(["readlink", "/proc/self/ns/net"], capture_output=True, text=True).stdout
        assert seen.strip() == str(there) != str(here())


def test_an_error_inside_does_not_leave_anybody_there():
    home = here()
    with Network(["n1", "n2"], "1") as network, pytest.raises(KeyError), inside(network.nets["n1"]):
        raise KeyError
    assert here() == home


def test_two_networks_with_the_same_addresses_do_not_meet():
    with Network(["client", "n1"], "1") as one, Network(["client", "n1"], "1") as other:
        with inside(one.nets["n1"]):
            server = socket.create_server((one.addresses["n1"], PORT))
        with server, inside(other.nets["client"]), socket.socket() as sock:
            sock.settimeout(WAITS_S)
            with pytest.raises(ConnectionRefusedError):
                sock.connect((other.addresses["n1"], PORT))


def test_without_nft_it_says_what_to_install(monkeypatch, tmp_path):
    (tmp_path / "ip").symlink_to(shutil.which("ip"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoNetwork, match=r"no program `nft` here \(Debian: nftables\)") as raised:
        Network(["client", "n1"], "1")
    assert raised.value.exit is Exit.USAGE


def test_the_handle_of_where_one_is():
    net = own()
    try:
        with inside(net):
            assert os.fstat(net).st_ino == Path(OWN).stat().st_ino
    finally:
        os.close(net)


# --- rules -----------------------------------------------------------------------------------------------------------


def test_without_a_fault_everything_passes(line):
    data = os.urandom(2_000_000)
    with line.connect() as sock:
        sender = threading.Thread(target=sock.sendall, args=(data,))
        sender.start()
        got = bytearray()
        while len(got) < len(data):
            got += sock.recv(65536)
        sender.join()
    assert bytes(got) == data


def test_a_cut_resets_open_connections_and_new_ones_until_it_heals(line):
    fault = line.fault(Rule("cut"), "cut")
    with line.connect() as sock:
        assert said(sock, b"x") == b"x"
        fault.begin()
        assert is_reset(sock)
    with pytest.raises(ConnectionRefusedError):
        line.connect()
    (receipt,) = fault.end()
    assert receipt.bit is True and receipt.evidence["turned_away"] == 1 and receipt.evidence["resets"] >= 1
    assert healed(fault)
    with line.connect() as sock:
        assert said(sock, b"y") == b"y"


def test_a_blackhole_swallows_and_what_was_sent_arrives_when_tcp_sends_it_again(line):
    fault = line.fault(Rule("blackhole"), "blackhole")
    with line.connect() as sock:
        assert said(sock, b"x") == b"x"
        fault.begin()
        sock.sendall(b"late")
        assert silent(sock)
        (receipt,) = fault.end()
        assert receipt.bit is True and receipt.evidence["forwarded"] == 0 and receipt.evidence["offered"] > 0
        assert healed(fault)
        assert sock.recv(4) == b"late"


def test_one_way_only(line):
    """Requests arrive, answers do not."""
    fault = line.fault(Rule("blackhole"), "blackhole", flows=(("n1", "client"),))
    with line.connect() as sock:
        assert said(sock, b"x") == b"x"
        fault.begin()
        sock.sendall(b"abcd")
        assert silent(sock)
        assert line.network.seen(["n1->client"])["n1->client"]["up"]["forwarded"] == 0
        assert fault.end()[0].bit is True
        assert healed(fault)
        assert sock.recv(4) == b"abcd"


def test_a_stall_delivers_when_it_heals(line):
    holds(line)
    fault = line.fault(Rule("stall"), "stall")
    with line.connect() as sock:
        assert said(sock, b"x") == b"x"
        fault.begin()
        sock.sendall(b"late")
        assert silent(sock)
        assert fault.end()[0].bit is True
        assert healed(fault)
        assert sock.recv(4) == b"late"


def test_a_delay_is_measured(line):
    holds(line)
    fault = line.fault(Rule(delay_s=0.03), "delay")
    with line.connect() as sock:
        fault.begin()
        assert said(sock, b"x") == b"x"
        (receipt,) = fault.end()
    assert receipt.bit is True and receipt.evidence["held_least_s"] >= 0.03
    assert healed(fault)


def test_bandwidth_is_limited(line):
    holds(line)
    fault = line.fault(Rule(bytes_per_s=100_000), "bandwidth")
    with line.connect() as sock:
        fault.begin()
        for _ in range(4):
            assert len(said(sock, bytes(2_000))) == 2_000
        (receipt,) = fault.end()
    assert receipt.bit is True, receipt.says
    assert healed(fault)


def test_a_drop_of_all_resets_what_carries_something(line):
    fault = line.fault(Rule(drop=1.0), "drop")
    with line.connect() as sock:  # opening one carries nothing
        fault.begin()
        assert is_reset(sock)
    assert fault.end()[0].bit is True
    assert healed(fault)


@pytest.mark.parametrize("mode", ["cut", "blackhole", "stall"])
def test_nobody_tried_is_no_receipt(line, mode):
    if mode == "stall":
        holds(line)
    fault = line.fault(Rule(mode), mode)
    fault.begin()
    assert fault.end()[0].bit is None
    assert healed(fault)


def test_only_the_links_of_the_fault_are_broken(line):
    fault = LinkFault("cut", (("n1", "n2"), ("n2", "n1")), Rule("cut"), "cut", line.network)
    fault.begin()
    with line.connect() as sock:
        assert said(sock, b"x") == b"x"
    assert line.network.unreached([("n1", "n2"), ("client", "n1")]) == ["n1->n2"]
    assert healed(fault)


def test_a_hub_that_is_gone_is_said_and_not_healed(line):
    fault = line.fault(Rule("blackhole"), "blackhole")
    fault.begin()
    line.network.close()
    with pytest.raises(RunInvalid, match="the hub and its rules have ended"):
        fault.end()
    assert fault.heal()[0].healed is False


def test_a_hub_that_ended_by_itself_makes_the_run_invalid():
    with (
        pytest.raises(RunInvalid, match="the hub and its rules have ended"),
        Network(["n1", "n2"], "1") as network,
    ):
        os.kill(network.pid, signal.SIGKILL)


def test_a_namespace_goes_with_the_last_that_holds_it():
    """Whatever ends kvsim: nothing has to be taken down."""
    with Network(["client", "n1"], "1") as network, inside(network.nets["n1"]):
        name = here()
    wait_until(lambda: name not in held(), Deadline.after(WAITS_S), "the namespace to be gone")


def held() -> set[Path]:
    """The network namespaces of all processes."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found.add((process / "ns/net").readlink())
    return found
