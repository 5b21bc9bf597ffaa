"""Link proxies on real sockets: what each rule does to bytes, and what the counters show."""

from __future__ import annotations

import contextlib
import random
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.errors import RunInvalid
from kvsim.faults.fault import FaultFailed
from kvsim.faults.network import LinkFault
from kvsim.faults.network_evidence import TotalStats
from kvsim.network.proxy import Route
from kvsim.network.proxy_handle import WorkerProxies
from kvsim.network.rules import DOWNSTREAM, PASS, UPSTREAM, DeliverySchedule, LinkClock, LinkRule
from kvsim.process.ports import reserve
from tests.network.echo_server import WAITS_S, EchoServer, echo, is_reset, is_silent

LINK = "client->n1"
FLOWS = (("client", "n1"), ("n1", "client"))


@dataclass
class Link:
    """A proxied route to an echo server."""

    proxies: WorkerProxies
    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=WAITS_S)

    def fault(self, rule: LinkRule, flows=FLOWS) -> LinkFault:
        return LinkFault(rule.kind, flows, rule, self.proxies)


@pytest.fixture
def link() -> Iterator[Link]:
    server = EchoServer(socket.create_server(("127.0.0.1", 0)))
    with reserve(1) as ports:
        route = Route(LINK, ("127.0.0.1", ports.ports[0]), server.listener.getsockname())
        with WorkerProxies([route], "1") as proxies:
            yield Link(proxies, ports.ports[0])
    server.close()


def test_without_a_fault_everything_passes(link):
    data = random.Random(1).randbytes(3_000_000)
    with link.connect() as sock:
        sender = threading.Thread(target=sock.sendall, args=(data,))
        sender.start()
        got = bytearray()
        while len(got) < len(data):
            got += sock.recv(65536)
        sender.join()
    assert bytes(got) == data


def test_an_end_of_stream_is_passed_on(link):
    with link.connect() as sock:
        sock.sendall(b"last words")
        sock.shutdown(socket.SHUT_WR)
        assert sock.makefile("rb").read() == b"last words"


def test_a_link_whose_target_does_not_listen_resets():
    with reserve(2) as ports:
        route = Route(LINK, ("127.0.0.1", ports.ports[0]), ("127.0.0.1", ports.ports[1]))
        with WorkerProxies([route], "1"):
            sock = socket.socket()
            sock.settimeout(WAITS_S)
            with sock, contextlib.suppress(ConnectionError):
                sock.connect(route.listen)
                assert is_reset(sock)


def test_a_cut_resets_open_connections_and_new_ones_until_it_ends(link):
    fault = link.fault(LinkRule("cut"))
    with link.connect() as sock:
        assert echo(sock, b"x") == b"x"
        fault.begin()
        assert is_reset(sock)
    with contextlib.suppress(ConnectionError), link.connect() as sock:
        assert is_reset(sock)
    (item,) = fault.measure()
    assert item.took_effect is True and item.measured["refused"] == 1
    assert all(recovery.recovered for recovery in fault.recover())
    with link.connect() as sock:
        assert echo(sock, b"y") == b"y"


def test_a_blackhole_swallows_and_resets_when_it_ends(link):
    fault = link.fault(LinkRule("blackhole"))
    with link.connect() as hit, link.connect() as idle:
        assert echo(hit, b"x") == b"x" and echo(idle, b"x") == b"x"
        fault.begin()
        hit.sendall(b"lost")
        assert is_silent(hit)
        assert fault.measure()[0].took_effect is True
        fault.recover()
        assert is_reset(hit)
        assert echo(idle, b"y") == b"y"


def test_a_stall_delivers_when_it_ends(link):
    fault = link.fault(LinkRule("stall"))
    with link.connect() as sock:
        assert echo(sock, b"x") == b"x"
        fault.begin()
        sock.sendall(b"late")
        assert is_silent(sock)
        assert fault.measure()[0].took_effect is True
        fault.recover()
        assert sock.recv(4) == b"late"


def test_a_fault_in_a_single_direction(link):
    """Requests arrive, replies do not."""
    fault = link.fault(LinkRule("stall"), flows=(("n1", "client"),))
    with link.connect() as sock:
        assert echo(sock, b"x") == b"x"
        fault.begin()
        sock.sendall(b"abcd")
        assert is_silent(sock)
        stats = link.proxies.stats([LINK])[LINK]
        assert stats[UPSTREAM]["forwarded"] == 4
        assert (stats[DOWNSTREAM]["forwarded"], stats[DOWNSTREAM]["offered"]) == (0, 4)
        fault.recover()
        assert sock.recv(4) == b"abcd"


def test_a_delay_is_measured(link):
    fault = link.fault(LinkRule(delay_s=0.03))
    with link.connect() as sock:
        fault.begin()
        assert echo(sock, b"x") == b"x"
        (item,) = fault.measure()
    assert item.took_effect is True and item.measured["held_s_min"] >= 0.03
    fault.recover()


def test_slices_are_small_and_lose_nothing(link):
    fault = link.fault(LinkRule(slice_bytes=3))
    with link.connect() as sock:
        fault.begin()
        assert echo(sock, b"0123456789" * 10) == b"0123456789" * 10
        (item,) = fault.measure()
    assert item.took_effect is True and item.measured["chunk_bytes_max"] == 3
    fault.recover()


def test_bandwidth_is_limited(link):
    fault = link.fault(LinkRule(bytes_per_s=100_000))
    with link.connect() as sock:
        fault.begin()
        for _ in range(4):
            assert len(echo(sock, bytes(2_000))) == 2_000
        (item,) = fault.measure()
    assert item.took_effect is True, item.message
    fault.recover()


def test_bandwidth_is_shared_by_the_connections_of_a_link(link):
    fault = link.fault(LinkRule(bytes_per_s=100_000))
    with link.connect() as first, link.connect() as second:
        fault.begin()
        first.sendall(bytes(4_000))
        assert len(echo(second, bytes(4_000))) == 4_000
        (item,) = fault.measure()
    assert item.took_effect is True and item.measured["held_s_max"] >= 0.08, item.message
    fault.recover()


def test_a_reset_probability_of_one_resets(link):
    fault = link.fault(LinkRule(reset_probability=1.0))
    with link.connect() as sock:
        fault.begin()
        sock.sendall(b"x")
        assert is_reset(sock)
    assert fault.measure()[0].took_effect is True
    fault.recover()


@pytest.mark.parametrize("mode", ["cut", "blackhole", "stall"])
def test_without_traffic_there_is_no_evidence(link, mode):
    fault = link.fault(LinkRule(mode))
    fault.begin()
    assert fault.measure()[0].took_effect is None
    fault.recover()


def test_a_broken_link_is_not_broken_again(link):
    fault = link.fault(LinkRule("stall"))
    fault.begin()
    inner = link.fault(LinkRule("cut"))
    with pytest.raises(FaultFailed, match="broken already, by a fault around this fault"):
        inner.begin()
    assert inner.measure() == () and inner.recover() == ()
    with link.connect() as sock:
        sock.sendall(b"held by the outer fault")
        assert is_silent(sock)
    fault.recover()


def test_the_reply_to_an_interrupted_request_is_skipped(link):
    """As when an interrupt comes between a request and its reply."""
    link.proxies._process.send(b'{"do": "rules", "links": [], "number": 0}\n')
    assert LINK in link.proxies.stats([LINK])


def test_proxies_that_have_ended_are_reported_and_do_not_recover(link):
    fault = link.fault(LinkRule("stall"))
    fault.begin()
    link.proxies.close()
    with pytest.raises(RunInvalid, match="have ended"):
        fault.measure()
    assert fault.recover()[0].recovered is False


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=50)), min_size=1, max_size=20
    ),
    st.builds(
        LinkRule,
        delay_s=st.floats(0, 0.1),
        jitter_s=st.floats(0, 0.2),
        bytes_per_s=st.sampled_from([0.0, 10.0, 1000.0]),
        slice_bytes=st.integers(0, 5),
        gap_s=st.floats(0, 0.1),
    ),
)
def test_pieces_keep_their_order_and_their_bytes(arrivals, rule):
    schedule, now, planned = DeliverySchedule(random.Random(1), LinkClock()), 0.0, []
    for after, data in arrivals:
        now += after
        pieces = list(schedule.plan(rule, data, now))
        assert b"".join(piece for _, piece in pieces) == data and all(
            due >= now for due, _ in pieces
        )
        planned += pieces
    dues = [due for due, _ in planned]
    assert dues == sorted(dues)
    assert not rule.slice_bytes or max(len(piece) for _, piece in planned) <= rule.slice_bytes


def test_no_stats_are_zero():
    assert TotalStats.of([]) == TotalStats(0, 0, 0, 0, 0, 0, 0.0, 0.0, 0.0)
    assert LinkRule() == PASS
