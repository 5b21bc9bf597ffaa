"""The router's rules as text for nft(8), and nft's counters as values.

Each directed pair has a chain, which its packets pass when they reach the router; the chain is
empty while nothing is broken. Each pair also has a counter of what leaves towards the target.
The kernel cannot delay packets by a rule: those packets are marked and routed to the delay queue
(`delay_queue`). Its packets come back by its own interface and pass no rule again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from kvsim.network.netns.subnets import Host, host_pairs
from kvsim.network.rules import LinkRule

TABLE = "inet kvsim"

# The interface of the delay queue, and the mark of the packets that go there.
DELAY_INTERFACE = "delay"
DELAY_MARK = 1

# The resolution of probabilities.
SHARES = 10_000

OPENS = "tcp flags & (fin | syn | rst | ack) == syn"

# A program's data ends in such a packet; an acknowledgement without data does not.
HAS_DATA = "tcp flags & psh == psh"

Pair = tuple[Host, Host]


class PairCounters(Struct, frozen=True):
    """The kernel's counters of one directed pair.

    `rules`: how many rules its chain has. `offered`: bytes that met a rule. `refused`: packets that
    would open a connection, answered with a reset; `resets`: other packets answered with a reset.
    `forwarded`: bytes that left towards the target.
    """

    rules: int = 0
    offered: int = 0
    refused: int = 0
    resets: int = 0
    forwarded: int = 0


def chain(pair: Pair) -> str:
    return f"from_{pair[0].number}_to_{pair[1].number}"


def empty_table(all_hosts: Sequence[Host]) -> str:
    """The table without a rule on any pair."""
    all_pairs = host_pairs(all_hosts)
    lines = [f"table {TABLE} {{"]
    for pair in all_pairs:
        lines += [f"  counter {chain(pair)} {{ }}", f"  chain {chain(pair)} {{ }}"]
    lines += [
        "  map offered { type ipv4_addr . ipv4_addr : verdict; elements = {",
        ",\n".join(f"    {_addresses(pair)} : goto {chain(pair)}" for pair in all_pairs),
        "  } }",
        "  map forwarded { type ipv4_addr . ipv4_addr : counter; elements = {",
        ",\n".join(f'    {_addresses(pair)} : "{chain(pair)}"' for pair in all_pairs),
        "  } }",
        "  chain arrive {",
        "    type filter hook prerouting priority mangle; policy accept;",
        f'    iifname "{DELAY_INTERFACE}" accept',
        "    ip saddr . ip daddr vmap @offered",
        "  }",
        "  chain leave {",
        "    type filter hook forward priority filter; policy accept;",
        f'    oifname "{DELAY_INTERFACE}" accept',
        "    counter name ip saddr . ip daddr map @forwarded",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def transaction(rules: Mapping[Pair, LinkRule]) -> str:
    """Set the rules of pairs in one transaction. Their counters of `offered` start from zero."""
    lines = []
    for pair, rule in rules.items():
        lines.append(f"flush chain {TABLE} {chain(pair)}")
        lines += [f"add rule {TABLE} {chain(pair)} {statement}" for statement in _rules(rule)]
    return "\n".join(lines) + "\n"


def holds_packets(rule: LinkRule) -> bool:
    """Whether packets have to wait, for a time or until the rule changes."""
    return rule.mode == "stall" or bool(rule.delay_s or rule.jitter_s or rule.bytes_per_s)


def _rules(rule: LinkRule) -> Iterator[str]:
    """The rules of a chain. Each comment names the PairCounters field that its counter is for."""
    if rule.mode in MODE_RULES:
        yield from MODE_RULES[rule.mode]
    elif rule.reset_probability:
        last = max(round(rule.reset_probability * SHARES) - 1, 0)
        drawn = f"numgen random mod {SHARES} <= {last}"
        yield f'{HAS_DATA} {drawn} counter reject with tcp reset comment "resets"'
        yield 'counter accept comment "passed"'
    elif holds_packets(rule):
        yield f'counter meta mark set {DELAY_MARK} accept comment "held"'


MODE_RULES: dict[str, tuple[str, ...]] = {
    "cut": (
        f'{OPENS} counter reject with tcp reset comment "refused"',
        'meta l4proto tcp counter reject with tcp reset comment "resets"',
        'counter drop comment "swallowed"',
    ),
    "blackhole": ('counter drop comment "swallowed"',),
}


def _addresses(pair: Pair) -> str:
    return f"{pair[0].address} . {pair[1].address}"


# --- nft's output -----------------------------------------------------------------------------


def parse_counters(listing: str, all_hosts: Sequence[Host]) -> dict[Pair, PairCounters]:
    """The counters of every directed pair, from the output of `nft -j list table`."""
    objects = json.loads(listing)["nftables"]
    forwarded: dict[str, int] = {
        item["counter"]["name"]: item["counter"]["bytes"] for item in objects if "counter" in item
    }
    rules: dict[str, list[Mapping[str, Any]]] = {}
    for item in objects:
        if "rule" in item:
            rules.setdefault(item["rule"]["chain"], []).append(item["rule"])
    return {
        pair: _pair_counters(rules.get(chain(pair), []), forwarded.get(chain(pair), 0))
        for pair in host_pairs(all_hosts)
    }


def _pair_counters(rules: Sequence[Mapping[str, Any]], forwarded: int) -> PairCounters:
    counters = {
        rule["comment"]: next(part["counter"] for part in rule["expr"] if "counter" in part)
        for rule in rules
    }
    packets = {name: counter["packets"] for name, counter in counters.items()}
    return PairCounters(
        rules=len(rules),
        offered=sum(counter["bytes"] for counter in counters.values()),
        refused=packets.get("refused", 0),
        resets=packets.get("resets", 0),
        forwarded=forwarded,
    )
