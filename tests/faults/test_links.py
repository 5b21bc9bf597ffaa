"""Link proxies on real sockets: what each rule does to bytes, and what the counters say of it."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.errors import RunInvalid
from kvsim.faults.fault import FaultFailed
from kvsim.faults.links.child import LinkProxies
from kvsim.faults.links.evidence import Total
from kvsim.faults.links.fault import LinkFault
from kvsim.faults.links.pump import Road
from kvsim.faults.links.rules import PASS, Lane, Pace, Rule
from kvsim.process.ports import reserve

LINK = "client->n1"
FLOWS = (("client", "n1"), ("n1", "client"))
WAITS_S = 5.0


@dataclass
class Echo:
    """A server that sends back what it gets."""

    threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self._spawn(self._accept)

    def _spawn(self, target, *args) -> None:
        self.threads.append(threading.Thread(target=target, args=args))
        self.threads[-1].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                self._spawn(self._serve, self.listener.accept()[0])

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                connection.sendall(data)

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for thread in self.threads:
            thread.join(WAITS_S)


@dataclass
class Line:
    """A proxied road to an echo server."""

    proxies: LinkProxies
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAITS_S)

    def fault(self, rule: Rule, what: str, flows=FLOWS) -> LinkFault:
        return LinkFault(what, flows, rule, what, self.proxies)


@pytest.fixture
def line() -> Iterator[Line]:
    echo = Echo()
    with reserve(1) as ports:
        road = Road(LINK, ("127.0.0.1", ports.ports[0]), echo.listener.getsockname())
        with LinkProxies([road], "1") as proxies:
            yield Line(proxies, ports.ports[0])
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
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def silent(sock: socket.socket) -> bool:
    sock.settimeout(0.1)
    try:
        return not sock.recv(1)
    except TimeoutError:
        return True
    finally:
        sock.settimeout(WAITS_S)


def test_without_a_fault_everything_passes(line):
    data = random.Random(1).randbytes(3_000_000)
    with line.connect() as sock:
        sender = threading.Thread(target=sock.sendall, args=(data,))
        sender.start()
        got = bytearray()
        while len(got) < len(data):
            got += sock.recv(65536)
        sender.join()
    assert bytes(got) == data


def test_an_end_is_passed_on(line):
    with line.connect() as sock:
        sock.sendall(b"last words")
        sock.shutdown(socket.SHUT_WR)
        assert sock.makefile("rb").read() == b"last words"


def test_nobody_behind_a_link_is_a_reset():
    with reserve(2) as ports:
        road = Road(LINK, ("127.0.0.1", ports.ports[0]), ("127.0.0.1", ports.ports[1]))
        with LinkProxies([road], "1"):
            sock = socket.socket()
            sock.settimeout(WAITS_S)
            with sock, contextlib.suppress(ConnectionError):  # already while connecting, perhaps
                sock.connect(road.listen)
                assert is_reset(sock)


def test_a_cut_resets_open_connections_and_new_ones_until_it_heals(line):
    fault = line.fault(Rule("cut"), "cut")
    with line.connect() as sock:
        assert said(sock, b"x") == b"x"
        fault.begin()
        assert is_reset(sock)
    with contextlib.suppress(ConnectionError), line.connect() as sock:
        assert is_reset(sock)
    (receipt,) = fault.end()
    assert receipt.bit is True and receipt.evidence["turned_away"] == 1
    assert all(one.healed for one in fault.heal())
    with line.connect() as sock:
        assert said(sock, b"y") == b"y"


def test_a_blackhole_swallows_and_resets_when_it_heals(line):
    fault = line.fault(Rule("blackhole"), "blackhole")
    with line.connect() as hit, line.connect() as idle:
        assert said(hit, b"x") == b"x" and said(idle, b"x") == b"x"
        fault.begin()
        hit.sendall(b"lost")
        assert silent(hit)
        assert fault.end()[0].bit is True
        fault.heal()
        assert is_reset(hit)
        assert said(idle, b"y") == b"y"


def test_a_stall_delivers_when_it_heals(line):
    fault = line.fault(Rule("stall"), "stall")
    with line.connect() as sock:
        assert said(sock, b"x") == b"x"
        fault.begin()
        sock.sendall(b"late")
        assert silent(sock)
        assert fault.end()[0].bit is True
        fault.heal()
        assert sock.recv(4) == b"late"


def test_one_way_only(line):
    """Requests arrive, answers do not."""
    fault = line.fault(Rule("stall"), "stall", flows=(("n1", "client"),))
    with line.connect() as sock:
        assert said(sock, b"x") == b"x"
        fault.begin()
        sock.sendall(b"abcd")
        assert silent(sock)
        seen = line.proxies.seen([LINK])[LINK]
        assert (
            seen["up"]["forwarded"] == 4 and seen["down"]["forwarded"] == 0 and seen["down"]["offered"] == 4
        )
        fault.heal()
        assert sock.recv(4) == b"abcd"


def test_a_delay_is_measured(line):
    fault = line.fault(Rule(delay_s=0.03), "delay")
    with line.connect() as sock:
        fault.begin()
        assert said(sock, b"x") == b"x"
        (receipt,) = fault.end()
    assert receipt.bit is True and receipt.evidence["held_least_s"] >= 0.03
    fault.heal()


def test_slices_are_small_and_lose_nothing(line):
    fault = line.fault(Rule(slice_bytes=3), "slice")
    with line.connect() as sock:
        fault.begin()
        assert said(sock, b"0123456789" * 10) == b"0123456789" * 10
        (receipt,) = fault.end()
    assert receipt.bit is True and receipt.evidence["biggest"] == 3
    fault.heal()


def test_bandwidth_is_limited(line):
    fault = line.fault(Rule(bytes_per_s=100_000), "bandwidth")
    with line.connect() as sock:
        fault.begin()
        for _ in range(4):
            assert len(said(sock, bytes(2_000))) == 2_000
        (receipt,) = fault.end()
    assert receipt.bit is True, receipt.says
    fault.heal()


def test_bandwidth_is_the_links_not_each_connections(line):
    fault = line.fault(Rule(bytes_per_s=100_000), "bandwidth")
    with line.connect() as one, line.connect() as other:
        fault.begin()
        one.sendall(bytes(4_000))
        assert len(said(other, bytes(4_000))) == 4_000
        (receipt,) = fault.end()
    assert receipt.bit is True and receipt.evidence["held_most_s"] >= 0.08, receipt.says
    fault.heal()


def test_a_drop_of_all_resets(line):
    fault = line.fault(Rule(drop=1.0), "drop")
    with line.connect() as sock:
        fault.begin()
        sock.sendall(b"x")
        assert is_reset(sock)
    assert fault.end()[0].bit is True
    fault.heal()


@pytest.mark.parametrize("mode", ["cut", "blackhole", "stall"])
def test_nobody_tried_is_no_receipt(line, mode):
    fault = line.fault(Rule(mode), mode)
    fault.begin()
    assert fault.end()[0].bit is None
    fault.heal()


def test_a_broken_link_is_not_broken_again(line):
    fault = line.fault(Rule("stall"), "stall")
    fault.begin()
    inner = line.fault(Rule("cut"), "cut")
    with pytest.raises(FaultFailed, match="broken by a fault around this one"):
        inner.begin()
    assert inner.end() == () and inner.heal() == ()
    with line.connect() as sock:
        sock.sendall(b"held by the outer one")
        assert silent(sock)
    fault.heal()


def test_an_answer_that_nobody_waited_for_is_not_taken_for_the_next(line):
    """As when an interrupt comes between an order and its answer."""
    line.proxies._process.send(b'{"do": "rules", "links": [], "number": 0}\n')
    assert LINK in line.proxies.seen([LINK])


def test_proxies_that_are_gone_are_said_and_not_healed(line):
    fault = line.fault(Rule("stall"), "stall")
    fault.begin()
    line.proxies.close()
    with pytest.raises(RunInvalid, match="have ended"):
        fault.end()
    assert fault.heal()[0].healed is False


@given(
    st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=50)), min_size=1, max_size=20),
    st.builds(
        Rule,
        delay_s=st.floats(0, 0.1),
        jitter_s=st.floats(0, 0.2),
        bytes_per_s=st.sampled_from([0.0, 10.0, 1000.0]),
        slice_bytes=st.integers(0, 5),
        gap_s=st.floats(0, 0.1),
    ),
)
def test_pieces_keep_their_order_and_their_bytes(arrivals, rule):
    pace, now, planned = Pace(random.Random(1), Lane()), 0.0, []
    for after, data in arrivals:
        now += after
        pieces = list(pace.plan(rule, data, now))
        assert b"".join(piece for _, piece in pieces) == data and all(due >= now for due, _ in pieces)
        planned += pieces
    dues = [due for due, _ in planned]
    assert dues == sorted(dues)
    assert not rule.slice_bytes or max(len(piece) for _, piece in planned) <= rule.slice_bytes


def test_nothing_seen_is_nothing():
    assert Total.of([]) == Total(0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0)
    assert Rule() == PASS
