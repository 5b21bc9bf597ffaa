"""The router that all veth pairs lead to, and its rules for faults.

Runs in its own process (`__main__`). The kernel's packet filter applies rules and counts; the
delay queue holds packets. What the router reports of a pair is what it observes in the kernel, not
what a request has set.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from kvsim.network.netns import nftables
from kvsim.network.netns.delay_queue import DEVICE, DelayQueue, open_interface, packet_sender
from kvsim.network.netns.nftables import Pair, PairCounters
from kvsim.network.netns.subnets import host_pairs, hosts
from kvsim.network.netns.veth import IP_BATCH, CannotBuild, build_network, delay_commands, run
from kvsim.network.rules import PASS, LinkRule, LinkStats
from kvsim.process.netns import in_namespace

LOAD = ("nft", "-f", "-")
LIST = ("nft", "-j", "list", "table", *nftables.TABLE.split())
PROBE_WITHIN_S = 1.0


class Router:
    """All directed pairs of hosts.

    `cannot_delay` says why packets cannot be held here; None when they can.
    """

    def __init__(self, names: Sequence[str], seed: str) -> None:
        """Build it. Raises CannotBuild."""
        self.hosts = {host.name: host for host in hosts(names)}
        self._all_hosts = list(self.hosts.values())
        self.namespaces = build_network(self._all_hosts)
        run(LOAD, nftables.empty_table(self._all_hosts))
        self.device = -1
        self.delay_queue: DelayQueue | None = None
        self.cannot_delay: str | None = None
        try:
            self.device = open_interface(nftables.DELAY_INTERFACE)
            run(IP_BATCH, delay_commands())
            pairs = {_address_pair(pair) for pair in host_pairs(self._all_hosts)}
            self.delay_queue = DelayQueue(pairs, seed, packet_sender(self.device))
        except OSError as error:
            self.cannot_delay = f"{DEVICE}: {error.strerror}"
        except CannotBuild as error:
            self.cannot_delay = str(error)
        # Of each pair: the last rule that broke it, and the bytes forwarded before that.
        self._last_rule: dict[Pair, LinkRule] = {}
        self._forwarded_before: dict[Pair, int] = {}

    def pair(self, link: str) -> Pair:
        """The hosts of a link's name."""
        source, _, target = link.partition("->")
        return self.hosts[source], self.hosts[target]

    def set_rules(self, rules: Mapping[Pair, LinkRule]) -> None:
        """Set the rules of pairs, all in one transaction. Raises CannotBuild."""
        if self.delay_queue is None and any(map(nftables.holds_packets, rules.values())):
            raise CannotBuild(f"packets cannot be held here: {self.cannot_delay}")
        run(LOAD, nftables.transaction(rules))
        counters = self._counters()
        for pair, rule in rules.items():
            if self.delay_queue is not None:
                held = rule if nftables.holds_packets(rule) else PASS
                self.delay_queue.set_rule(_address_pair(pair), held)
            if rule != PASS:
                self._last_rule[pair] = rule
                self._forwarded_before[pair] = counters[pair].forwarded

    def stats(self, pairs: Iterable[Pair]) -> dict[Pair, LinkStats]:
        """What was counted since each pair was last broken."""
        counters = self._counters()
        return {pair: self._stats(pair, counters[pair]) for pair in pairs}

    def rules(self, pairs: Iterable[Pair]) -> dict[Pair, LinkRule]:
        """The rules that are set now.

        A pair is broken, as it last was, while the kernel or the delay queue has a rule for it.
        """
        counters = self._counters()
        return {
            pair: self._last_rule[pair] if counters[pair].rules or self._is_delayed(pair) else PASS
            for pair in pairs
        }

    def unreachable(self, pairs: Iterable[Pair]) -> list[Pair]:
        """Those pairs on which a datagram does not arrive within PROBE_WITHIN_S."""
        with contextlib.ExitStack() as stack:
            probes = [(pair, stack.enter_context(_probe(pair, self.namespaces))) for pair in pairs]
            return [
                pair
                for pair, receiver in probes
                if not select.select([receiver], [], [], PROBE_WITHIN_S)[0]
            ]

    def close(self) -> None:
        for namespace in self.namespaces.values():
            os.close(namespace)
        if self.device >= 0:
            os.close(self.device)

    def _stats(self, pair: Pair, counters: PairCounters) -> LinkStats:
        rule = self._last_rule.get(pair, PASS)
        if self.delay_queue is not None and nftables.holds_packets(rule) and rule.mode == "pass":
            return self.delay_queue.lines[_address_pair(pair)].stats
        forwarded = counters.forwarded - self._forwarded_before.get(pair, 0)
        stats = LinkStats(
            offered=counters.offered, resets=counters.resets, refused=counters.refused
        )
        return replace(stats, forwarded=forwarded)

    def _is_delayed(self, pair: Pair) -> bool:
        if self.delay_queue is None:
            return False
        return self.delay_queue.lines[_address_pair(pair)].rule != PASS

    def _counters(self) -> dict[Pair, PairCounters]:
        return nftables.parse_counters(run(LIST), self._all_hosts)


@contextlib.contextmanager
def _probe(pair: Pair, namespaces: Mapping[str, int]) -> Iterator[socket.socket]:
    """A socket at the target, to which the source has just sent a datagram."""
    source, target = pair
    with in_namespace(namespaces[target.name]):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with receiver:
        receiver.bind((target.address, 0))
        with in_namespace(namespaces[source.name]):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # A datagram that cannot be sent does not arrive either.
        with sender, contextlib.suppress(OSError):
            sender.sendto(b"kvsim", receiver.getsockname())
        yield receiver


def _address_pair(pair: Pair) -> bytes:
    return b"".join(socket.inet_aton(host.address) for host in pair)
