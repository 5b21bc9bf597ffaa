"""The hub's rules as text for nft(8), and what nft says of them as values. Pure.

Each directed pair has a chain that packets from one to the other go through when they reach the hub, empty while nothing is
broken, and a counter of what leaves towards the other. What a rule cannot do in the kernel (let packets wait) it marks, and marked
packets are routed to the holder (`holder.py`), whose packets come back by its own interface and are past all rules.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kvsim.faults.links.rules import Rule
from kvsim.faults.netns.hosts import Host, pairs

TABLE = "inet kvsim"
HOLDER = "holder"  # the interface of the process that lets packets wait
WAITS = 1  # the mark of packets that have to
SHARES = 10_000
OPENS = "tcp flags & (fin | syn | rst | ack) == syn"
CARRIES = (
    "tcp flags & psh == psh"  # what a program sent ends in such a packet; a bare acknowledgement is none
)

Pair = tuple[Host, Host]


@dataclass(frozen=True)
class Counted:
    """One directed pair, by the kernel: bytes and packets that met its rules, by what the rule did; bytes that left towards the target."""

    rules: int = 0
    offered: int = 0
    turned_away: int = 0  # packets that would have opened a connection, answered with a reset
    resets: int = 0  # other packets answered with a reset
    through: int = 0


def chain(pair: Pair) -> str:
    return f"from_{pair[0].number}_to_{pair[1].number}"


def skeleton(everybody: Sequence[Host]) -> str:
    """The table with nothing broken."""
    all_pairs = pairs(everybody)
    lines = [f"table {TABLE} {{"]
    for pair in all_pairs:
        lines += [f"  counter {chain(pair)} {{ }}", f"  chain {chain(pair)} {{ }}"]
    lines += [
        "  map offered { type ipv4_addr . ipv4_addr : verdict; elements = {",
        ",\n".join(f"    {_flow(pair)} : goto {chain(pair)}" for pair in all_pairs),
        "  } }",
        "  map through { type ipv4_addr . ipv4_addr : counter; elements = {",
        ",\n".join(f'    {_flow(pair)} : "{chain(pair)}"' for pair in all_pairs),
        "  } }",
        "  chain arrive {",
        "    type filter hook prerouting priority mangle; policy accept;",
        f'    iifname "{HOLDER}" accept',
        "    ip saddr . ip daddr vmap @offered",
        "  }",
        "  chain leave {",
        "    type filter hook forward priority filter; policy accept;",
        f'    oifname "{HOLDER}" accept',
        "    counter name ip saddr . ip daddr map @through",
        "  }",
        "}",
    ]
    return "\n".join(lines) + "\n"


def change(rules: Mapping[Pair, Rule]) -> str:
    """Give pairs their rules, in one transaction; their counters of what is offered begin anew."""
    lines = []
    for pair, rule in rules.items():
        lines.append(f"flush chain {TABLE} {chain(pair)}")
        lines += [f"add rule {TABLE} {chain(pair)} {words}" for words in _words(rule)]
    return "\n".join(lines) + "\n"


def waits(rule: Rule) -> bool:
    """Whether packets have to wait, for a time or until the rule changes."""
    return rule.mode == "stall" or bool(rule.delay_s or rule.jitter_s or rule.bytes_per_s)


def _words(rule: Rule) -> Iterator[str]:
    """What stands in a chain. Each comment says what the rule's counter counts, a field of Counted."""
    if rule.mode in DOES:
        yield from DOES[rule.mode]
    elif rule.drop:
        last = max(round(rule.drop * SHARES) - 1, 0)
        yield f'{CARRIES} numgen random mod {SHARES} <= {last} counter reject with tcp reset comment "resets"'
        yield 'counter accept comment "let_by"'
    elif waits(rule):
        yield f'counter meta mark set {WAITS} accept comment "waits"'


DOES: dict[str, tuple[str, ...]] = {
    "cut": (
        f'{OPENS} counter reject with tcp reset comment "turned_away"',
        'meta l4proto tcp counter reject with tcp reset comment "resets"',
        'counter drop comment "swallowed"',
    ),
    "blackhole": ('counter drop comment "swallowed"',),
}


def _flow(pair: Pair) -> str:
    return f"{pair[0].address} . {pair[1].address}"


# --- what nft says ---------------------------------------------------------------------------------------------------


def counted(listing: str, everybody: Sequence[Host]) -> dict[Pair, Counted]:
    """What `nft -j list table` says, for every directed pair."""
    objects = json.loads(listing)["nftables"]
    through = {one["counter"]["name"]: one["counter"]["bytes"] for one in objects if "counter" in one}
    rules: dict[str, list[Mapping[str, Any]]] = {}
    for one in objects:
        if "rule" in one:
            rules.setdefault(one["rule"]["chain"], []).append(one["rule"])
    return {
        pair: _counted(rules.get(chain(pair), []), through.get(chain(pair), 0)) for pair in pairs(everybody)
    }


def _counted(rules: Sequence[Mapping[str, Any]], through: int) -> Counted:
    met = {
        rule["comment"]: next(one["counter"] for one in rule["expr"] if "counter" in one) for rule in rules
    }
    packets = {what: counter["packets"] for what, counter in met.items()}
    return Counted(
        rules=len(rules),
        offered=sum(counter["bytes"] for counter in met.values()),
        turned_away=packets.get("turned_away", 0),
        resets=packets.get("resets", 0),
        through=through,
    )
