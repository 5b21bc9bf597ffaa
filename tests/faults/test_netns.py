"""Hosts in network namespaces, on paper: their addresses, the hub's rules as text, what nft's listing says, which packets wait how long."""

from __future__ import annotations

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.config.cluster import Cluster, NodeSpec
from kvsim.config.fault_words import LINKS, NOT_CARRIED
from kvsim.config.lint import lint
from kvsim.config.program import Program, Role
from kvsim.config.scenario import Group, Scenario, Step
from kvsim.faults.links.rules import PASS, Rule
from kvsim.faults.netns import child, nft
from kvsim.faults.netns.cables import at_host, at_hub
from kvsim.faults.netns.holder import HELD_BYTES_MAX, Holder
from kvsim.faults.netns.hosts import HUB, hosts, pairs
from kvsim.scenario.link_faults import RULES

EVERYBODY = hosts(["client", "n1", "n2"])
CLIENT, N1, N2 = EVERYBODY
PAIR = (N1, N2)
SETTINGS = {"by": 0.1, "jitter": 0.01, "rate": 1000, "bytes": 1, "gap": 0.0, "percent": 5}


# --- addresses and cables --------------------------------------------------------------------------------------------


@given(st.integers(1, child.NODES_MOST))
def test_nobody_shares_an_address(count):
    addresses = [host.address for host in hosts([f"n{at}" for at in range(count)])]
    assert len({*addresses, HUB}) == count + 1 and all(one.startswith("198.18.") for one in addresses)


def test_each_host_has_one_cable_and_reaches_all_others_by_the_hub():
    assert f"addr add {N1.address}/32 dev eth0" in at_host(N1, "/hub")
    assert f"route add default via {HUB}" in at_host(N1, "/hub")
    assert all(f"route add {host.address} dev {host.cable}" in at_hub(EVERYBODY) for host in EVERYBODY)


# --- rules as text ---------------------------------------------------------------------------------------------------


def test_each_directed_pair_has_a_chain_of_its_own():
    assert len(pairs(EVERYBODY)) == 6
    assert all(f"chain {nft.chain(pair)} {{ }}" in nft.skeleton(EVERYBODY) for pair in pairs(EVERYBODY))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (Rule("cut"), "reject with tcp reset"),
        (Rule("blackhole"), "drop"),
        (Rule(drop=0.05), "numgen random mod 10000 <= 499"),
        (Rule("stall"), "meta mark set 1"),
        (Rule(delay_s=0.1), "meta mark set 1"),
        (Rule(bytes_per_s=10.0), "meta mark set 1"),
    ],
)
def test_what_a_rule_is_in_the_kernel(rule, words):
    text = nft.change({PAIR: rule})
    assert text.startswith(f"flush chain inet kvsim {nft.chain(PAIR)}\n") and words in text
    assert nft.waits(rule) == ("mark" in text)


def test_a_pair_that_passes_has_no_rule():
    assert nft.change({PAIR: PASS}) == f"flush chain inet kvsim {nft.chain(PAIR)}\n"


def test_every_kind_of_fault_is_carried_or_refused_before_the_run():
    for kind in RULES:
        carried = len(nft.change({PAIR: RULES[kind](SETTINGS)}).splitlines()) > 1
        assert carried == (kind not in NOT_CARRIED["netns"]), kind
    assert {kind for kind in RULES if nft.waits(RULES[kind](SETTINGS))} == child.WAITING
    assert set(NOT_CARRIED["netns"]) <= set(LINKS)


def test_what_packets_cannot_do_is_said_with_its_place(tmp_path):
    node = NodeSpec("n1", Role.LEADER, Program("p", tmp_path, {}), 1)
    cluster = Cluster("c", tmp_path / "c.yaml", (node,), links="netns")
    fields = {"slice": {"from": "client", "to": "client", "both": True, "bytes": 1, "gap": 0.0}}
    step = Step("1.1", "fault", fields, 4, 5, "fault: …")
    (problem,) = lint(Scenario("s", "s", tmp_path / "s.yaml", cluster.path, (Group("", (step,)),)), cluster)
    assert (problem.line, problem.column) == (
        4,
        5,
    ) and "`slice` cannot be had with `links: netns`" in problem.message


# --- what nft says ---------------------------------------------------------------------------------------------------


def listing(*rules: dict, through: int = 0) -> str:
    """What `nft -j list table` prints, as far as it is read."""
    counter = {"counter": {"name": nft.chain(PAIR), "packets": 9, "bytes": through}}
    return json.dumps(
        {"nftables": [counter, *({"rule": {"chain": nft.chain(PAIR), **one}} for one in rules)]}
    )


def rule(comment: str, packets: int, size: int) -> dict:
    return {"comment": comment, "expr": [{"counter": {"packets": packets, "bytes": size}}, {"drop": None}]}


def test_counters_are_told_apart_by_what_their_rule_does():
    text = listing(rule("turned_away", 2, 120), rule("resets", 3, 300), rule("swallowed", 1, 40), through=7)
    assert nft.counted(text, EVERYBODY)[PAIR] == nft.Counted(3, 460, 2, 3, 7)


def test_a_chain_without_rules_counts_nothing():
    assert nft.counted(listing(), EVERYBODY)[PAIR] == nft.Counted()


# --- packets that wait -----------------------------------------------------------------------------------------------

FLOW = socket.inet_aton(N1.address) + socket.inet_aton(N2.address)


class Bench:
    """A holder on a clock that is moved by hand; `sent` are the packets that went on, with their times."""

    def __init__(self, rule: Rule) -> None:
        self.now, self.sent = 100.0, []
        self.holder = Holder(
            {FLOW}, "1", lambda packet: self.sent.append((self.now, packet)), lambda: self.now
        )
        self.holder.rule(FLOW, rule)

    def packet(self, content: bytes) -> bytes:
        return bytes(12) + FLOW + content

    def take(self, content: bytes) -> None:
        self.holder.take(self.packet(content))
        self.holder.send_due()

    def run_dry(self) -> None:
        while (wait_s := self.holder.send_due()) is not None:
            self.now += wait_s


def test_a_delay_is_kept_and_measured():
    bench = Bench(Rule(delay_s=0.05))
    bench.take(b"x")
    assert bench.sent == [] and bench.holder.send_due() == pytest.approx(0.05)
    bench.run_dry()
    assert bench.sent[0][0] == pytest.approx(100.05)
    assert bench.holder.lines[FLOW].seen.held_least_s == pytest.approx(0.05)


def test_a_stall_waits_for_the_rule_to_change():
    bench = Bench(Rule("stall"))
    bench.take(b"1")
    bench.take(b"2")
    assert bench.holder.send_due() is None and bench.sent == []
    bench.holder.rule(FLOW, PASS)
    assert [packet[-1:] for _, packet in bench.sent] == [b"1", b"2"]


def test_bandwidth_spreads_packets_over_time():
    bench = Bench(Rule(bytes_per_s=1000.0))
    for _ in range(4):
        bench.take(bytes(480))  # 500 bytes with the addresses
    bench.run_dry()
    assert bench.now == pytest.approx(102.0)


def test_what_was_on_its_way_when_the_rule_ended_goes_on():
    bench = Bench(PASS)
    bench.take(b"late")
    assert len(bench.sent) == 1


def test_what_is_no_hosts_packet_is_left_alone():
    bench = Bench(Rule("stall"))
    bench.holder.take(b"\x60" + bytes(47))  # the kernel's own IPv6 on a new interface
    assert bench.holder.lines[FLOW].seen.offered == 0


def test_a_line_that_is_full_loses_packets_as_a_router_does():
    bench = Bench(Rule("stall"))
    for _ in range(HELD_BYTES_MAX // 1000 + 5):
        bench.take(bytes(980))
    line = bench.holder.lines[FLOW]
    assert line.held <= HELD_BYTES_MAX and line.seen.swallowed > 0


@given(
    st.lists(st.tuples(st.floats(0, 0.2), st.binary(min_size=1, max_size=40)), min_size=1, max_size=20),
    st.builds(
        Rule, delay_s=st.floats(0, 0.1), jitter_s=st.floats(0, 0.2), bytes_per_s=st.sampled_from([0.0, 500.0])
    ),
)
def test_nothing_that_waits_is_lost_or_overtaken(arrivals, rule):
    bench = Bench(rule)
    for after, content in arrivals:
        bench.now += after
        bench.take(content)
    bench.run_dry()
    assert [packet for _, packet in bench.sent] == [bench.packet(content) for _, content in arrivals]
