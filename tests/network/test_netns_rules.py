"""Network namespaces without a kernel: addresses, rules as text, counters, the delay queue."""

from __future__ import annotations

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import fields

from kvsim.config.cluster import Cluster, NodeSpec
from kvsim.config.lint import lint
from kvsim.config.program import Program, Role
from kvsim.config.scenario import Scenario, StepGroup
from kvsim.config.scenario_loader import read_steps
from kvsim.faults.registry import BuildContext, fault_kinds
from kvsim.network.netns import nftables, router_handle
from kvsim.network.netns.delay_queue import HELD_BYTES_MAX, DelayQueue
from kvsim.network.netns.subnets import ROUTER_ADDRESS, host_pairs, hosts
from kvsim.network.netns.veth import host_commands, router_commands
from kvsim.network.rules import PASS, LinkRule
from kvsim.runner.registry import REGISTRY

ALL_HOSTS = hosts(["client", "n1", "n2"])
CLIENT, N1, N2 = ALL_HOSTS
PAIR = (N1, N2)


# --- addresses and interfaces -----------------------------------------------------------------


@given(st.integers(1, router_handle.HOSTS_MAX))
def test_each_host_has_a_separate_address(count):
    addresses = [host.address for host in hosts([f"n{number}" for number in range(count)])]
    assert len({*addresses, ROUTER_ADDRESS}) == count + 1
    assert all(address.startswith("198.18.") for address in addresses)


def test_each_host_reaches_all_others_by_the_router():
    assert f"addr add {N1.address}/32 dev eth0" in host_commands(N1, "/router")
    assert f"route add default via {ROUTER_ADDRESS}" in host_commands(N1, "/router")
    assert all(
        f"route add {host.address} dev {host.interface}" in router_commands(ALL_HOSTS)
        for host in ALL_HOSTS
    )


# --- rules as text ----------------------------------------------------------------------------


def test_each_directed_pair_has_a_separate_chain():
    pairs = host_pairs(ALL_HOSTS)
    assert len(pairs) == 6
    assert all(
        f"chain {nftables.chain(pair)} {{ }}" in nftables.empty_table(ALL_HOSTS) for pair in pairs
    )


@pytest.mark.parametrize(
    ("rule", "statement"),
    [
        (LinkRule("cut"), "reject with tcp reset"),
        (LinkRule("blackhole"), "drop"),
        (LinkRule(reset_probability=0.05), "numgen random mod 10000 <= 499"),
        (LinkRule("stall"), "meta mark set 1"),
        (LinkRule(delay_s=0.1), "meta mark set 1"),
        (LinkRule(bytes_per_s=10.0), "meta mark set 1"),
    ],
)
def test_a_rule_as_statements_of_nft(rule, statement):
    text = nftables.transaction({PAIR: rule})
    assert text.startswith(f"flush chain inet kvsim {nftables.chain(PAIR)}\n") and statement in text
    assert nftables.holds_packets(rule) == ("mark" in text)


def test_a_pair_that_passes_has_no_rule():
    assert nftables.transaction({PAIR: PASS}) == f"flush chain inet kvsim {nftables.chain(PAIR)}\n"


LINK_KINDS = [kind for kind in fault_kinds().values() if kind.breaks_links]
SETTINGS = {
    "source": "client",
    "target": "n1",
    "both": True,
    "by": 0.1,
    "jitter": 0.01,
    "rate": 1000,
    "bytes": 1,
    "gap": 0.0,
    "percent": 5,
    "into": "leader alone",
    "how": "blackhole",
}
CONTEXT = BuildContext(
    seed="1",
    nodes=("n1", "n2"),
    leader="n1",
    resolve=lambda target, purpose: (),
    handle=lambda name: None,
    wrap_next_request=lambda wrapper: None,
    maybe_links=object(),
)


def rule_of(kind) -> LinkRule:
    """The rule of a fault of this kind."""
    names = [field.name for field in fields(kind.settings)]
    settings = kind.settings(**{name: SETTINGS[name] for name in names})
    return kind.build(CONTEXT, settings).rule


@pytest.mark.parametrize("kind", LINK_KINDS, ids=lambda kind: kind.name)
def test_every_kind_of_fault_has_rules_or_is_declared_as_unsupported(kind):
    text = nftables.transaction({PAIR: rule_of(kind)})
    assert (len(text.splitlines()) > 1) == ("netns" not in kind.unsupported)
    assert nftables.holds_packets(rule_of(kind)) == kind.holds_packets


def test_an_unsupported_kind_is_reported_with_its_location(tmp_path):
    node = NodeSpec(
        name="n1", role=Role.LEADER, program=Program(name="p", folder=tmp_path, start={}), id=1
    )
    cluster = Cluster("c", tmp_path / "c.yaml", (node,), links="netns")
    text = "- fault: {slice: {from: client, to: n1}, do: [{sleep: {for: 1ms, why: w}}]}"
    steps = read_steps(text, "s.yaml", "1.", REGISTRY.verbs)
    scenario = Scenario("s", "s", tmp_path / "s.yaml", cluster.path, (StepGroup("", steps),))
    (problem,) = lint(scenario, cluster)
    assert (problem.line, problem.column) == (1, 3)
    assert "`slice` is not possible with `links: netns`" in problem.message


# --- nft's output -----------------------------------------------------------------------------


def listing(*rules: dict, forwarded: int = 0) -> str:
    """The part of the output of `nft -j list table` that is read."""
    chain = nftables.chain(PAIR)
    counter = {"counter": {"name": chain, "packets": 9, "bytes": forwarded}}
    return json.dumps(
        {"nftables": [counter, *({"rule": {"chain": chain, **row}} for row in rules)]}
    )


def rule(comment: str, packets: int, size: int) -> dict:
    return {
        "comment": comment,
        "expr": [{"counter": {"packets": packets, "bytes": size}}, {"drop": None}],
    }


def test_counters_are_named_by_the_comment_of_their_rule():
    text = listing(
        rule("refused", 2, 120), rule("resets", 3, 300), rule("swallowed", 1, 40), forwarded=7
    )
    assert nftables.parse_counters(text, ALL_HOSTS)[PAIR] == nftables.PairCounters(3, 460, 2, 3, 7)


def test_a_chain_without_rules_counts_nothing():
    assert nftables.parse_counters(listing(), ALL_HOSTS)[PAIR] == nftables.PairCounters()


# --- the delay queue --------------------------------------------------------------------------

FLOW = socket.inet_aton(N1.address) + socket.inet_aton(N2.address)


class QueueWithClock:
    """A delay queue with a clock that the test moves. `sent`: (time, packet) of what was sent."""

    def __init__(self, rule: LinkRule) -> None:
        self.now, self.sent = 100.0, []
        self.queue = DelayQueue(
            {FLOW}, "1", lambda packet: self.sent.append((self.now, packet)), lambda: self.now
        )
        self.queue.set_rule(FLOW, rule)

    def packet(self, content: bytes) -> bytes:
        return bytes(12) + FLOW + content

    def receive(self, content: bytes) -> None:
        self.queue.receive(self.packet(content))
        self.queue.send_due()

    def send_all(self) -> None:
        """Move the clock until every packet is sent."""
        while (wait_s := self.queue.send_due()) is not None:
            self.now += wait_s


def test_a_delay_is_applied_and_measured():
    queue_with_clock = QueueWithClock(LinkRule(delay_s=0.05))
    queue_with_clock.receive(b"x")
    assert queue_with_clock.sent == [] and queue_with_clock.queue.send_due() == pytest.approx(0.05)
    queue_with_clock.send_all()
    assert queue_with_clock.sent[0][0] == pytest.approx(100.05)
    assert queue_with_clock.queue.lines[FLOW].stats.held_s_min == pytest.approx(0.05)


def test_a_stall_holds_packets_until_the_rule_changes():
    queue_with_clock = QueueWithClock(LinkRule("stall"))
    queue_with_clock.receive(b"1")
    queue_with_clock.receive(b"2")
    assert queue_with_clock.queue.send_due() is None and queue_with_clock.sent == []
    queue_with_clock.queue.set_rule(FLOW, PASS)
    assert [packet[-1:] for _, packet in queue_with_clock.sent] == [b"1", b"2"]


def test_bandwidth_spreads_packets_over_time():
    queue_with_clock = QueueWithClock(LinkRule(bytes_per_s=1000.0))
    for _ in range(4):
        # 500 bytes with the addresses
        queue_with_clock.receive(bytes(480))
    queue_with_clock.send_all()
    assert queue_with_clock.now == pytest.approx(102.0)


def test_a_packet_that_arrives_after_its_rule_has_ended_is_sent():
    queue_with_clock = QueueWithClock(PASS)
    queue_with_clock.receive(b"late")
    assert len(queue_with_clock.sent) == 1


def test_a_packet_of_no_host_is_ignored():
    queue_with_clock = QueueWithClock(LinkRule("stall"))
    # An IPv6 packet, as the kernel sends it on a new interface.
    queue_with_clock.queue.receive(b"\x60" + bytes(47))
    assert queue_with_clock.queue.lines[FLOW].stats.offered == 0


def test_a_full_line_loses_packets():
    queue_with_clock = QueueWithClock(LinkRule("stall"))
    for _ in range(HELD_BYTES_MAX // 1000 + 5):
        queue_with_clock.receive(bytes(980))
    line = queue_with_clock.queue.lines[FLOW]
    assert line.held_bytes <= HELD_BYTES_MAX and line.stats.swallowed > 0


@given(
    st.lists(
        st.tuples(st.floats(0, 0.2), st.binary(min_size=1, max_size=40)), min_size=1, max_size=20
    ),
    st.builds(
        LinkRule,
        delay_s=st.floats(0, 0.1),
        jitter_s=st.floats(0, 0.2),
        bytes_per_s=st.sampled_from([0.0, 500.0]),
    ),
)
def test_packets_keep_their_order_and_none_is_lost(arrivals, rule):
    queue_with_clock = QueueWithClock(rule)
    for after, content in arrivals:
        queue_with_clock.now += after
        queue_with_clock.receive(content)
    queue_with_clock.send_all()
    assert [packet for _, packet in queue_with_clock.sent] == [
        queue_with_clock.packet(content) for _, content in arrivals
    ]
