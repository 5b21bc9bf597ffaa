"""Faults of links: one rule for everything that some participants send to others.

Evidence, for each pair of participants: what was offered on the links between them and what became
of it, by the counters of the links. A pair without traffic shows nothing. Recovery removes the
rule and observes that everything passes again.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self

from msgspec import Struct, field
from msgspec.structs import asdict

from kvsim.config.cluster import Cluster
from kvsim.config.fault_schema import StormDraw
from kvsim.config.names import CLIENT
from kvsim.config.schema import Choice, Duration, Field, Flag, Int
from kvsim.config.target import LinkEndSchema, Target
from kvsim.errors import KvsimError
from kvsim.faults.fault import Evidence, Fault, FaultFailed, Recovery
from kvsim.faults.network_evidence import TotalStats, link_effect
from kvsim.faults.registry import BuildContext, FaultDeclaration, NoTarget
from kvsim.network.links import Direction, Flow, Links, link_name
from kvsim.network.partitions import Side, separated_pairs
from kvsim.network.rules import PASS, UPSTREAM, LinkRule
from kvsim.waiting import Deadline, TimedOut, wait_until


class LinkFault(Struct, frozen=True):
    """`flows`: (source, target) of the bytes that the rule is for.

    `_begun` is empty until rules are set, so that a fault that failed before that does not undo the
    rules of another fault.
    """

    kind: str
    flows: tuple[Flow, ...]
    rule: LinkRule
    links: Links
    _begun: list[Direction] = field(default_factory=list)

    @property
    def nodes(self) -> tuple[str, ...]:
        ends = dict.fromkeys(end for flow in self.flows for end in flow)
        return tuple(end for end in ends if end != CLIENT)

    def plan(self) -> Mapping[str, Any]:
        changed = {
            name: value
            for name, value in self.rule.to_json().items()
            if value != getattr(PASS, name)
        }
        return {"flows": [link_name(*flow) for flow in self.flows], **changed}

    def begin(self) -> Sequence[Evidence]:
        rules = self._rules_now()
        broken = [direction for direction in self._directions() if rules[direction] != PASS]
        if broken:
            raise FaultFailed(
                f"link {broken[0][0]} is broken already, by a fault around this fault"
            )
        self._begun.extend(self._directions())
        self.links.set_rules(dict.fromkeys(self._begun, self.rule), reset_stats=True)
        return ()

    def adopt(self) -> Self:
        """Treat this fault as begun: an earlier command began it."""
        self._begun.extend(self._directions())
        return self

    def measure(self) -> Sequence[Evidence]:
        if not self._begun:
            return ()
        stats = self.links.stats(self._link_names())
        return [self._evidence(pair, stats) for pair in self._pairs()]

    def wait_for_traffic(self, within_s: float) -> list[Evidence]:
        """The evidence, as soon as every link has had traffic or the time is over."""
        evidence: list[Evidence] = []

        def all_had_traffic() -> bool:
            evidence[:] = self.measure()
            return all(item.took_effect is not None for item in evidence)

        with contextlib.suppress(TimedOut):
            wait_until(all_had_traffic, Deadline.after(within_s), "traffic on every link")
        return evidence

    def recover(self) -> Sequence[Recovery]:
        if not self._begun:
            return ()
        try:
            self.links.set_rules(dict.fromkeys(self._directions(), PASS))
            rules = self._rules_now()
            broken = any(rules[direction] != PASS for direction in self._directions())
            unreachable = [] if broken else self.links.unreachable(self.flows)
        except KvsimError as error:
            return [Recovery("links", False, str(error))]
        names = ", ".join(sorted({"–".join(pair) for pair in self._pairs()}))
        state = "still broken" if broken else "everything passes again"
        if unreachable:
            state = f"no rule is left, but nothing arrives on {', '.join(unreachable)}"
        return [Recovery("links", not broken and not unreachable, f"{names}: {state}")]

    def _evidence(self, pair: tuple[str, str], stats: Mapping[str, Any]) -> Evidence:
        directions = [
            direction
            for flow in self.flows
            if set(flow) == set(pair)
            for direction in self.links.directions(*flow)
        ]
        total = TotalStats.of(stats[link][name] for link, name in dict.fromkeys(directions))
        took_effect, message = link_effect(self.rule, total)
        subject = "–".join(pair)
        return Evidence(subject, took_effect, f"{subject}: {message}", asdict(total))

    def _pairs(self) -> list[tuple[str, str]]:
        """The two ends of every flow, each pair once."""
        pairs: dict[frozenset[str], tuple[str, str]] = {}
        for flow in self.flows:
            pairs.setdefault(frozenset(flow), flow)
        return list(pairs.values())

    def _directions(self) -> list[Direction]:
        directions = [
            direction for flow in self.flows for direction in self.links.directions(*flow)
        ]
        return list(dict.fromkeys(directions))

    def _link_names(self) -> set[str]:
        return {link for link, _ in self._directions()}

    def _rules_now(self) -> dict[Direction, LinkRule]:
        return {
            (link, name): LinkRule(**rule)
            for link, directions in self.links.rules(self._link_names()).items()
            for name, rule in directions.items()
        }


def broken_links(links: Links) -> list[LinkFault]:
    """What is broken now, by the links' own report: one fault for each rule, begun already."""
    flows: dict[LinkRule, list[Flow]] = {}
    for link, directions in links.rules(links.links).items():
        source, _, target = link.partition("->")
        for direction, fields in directions.items():
            rule = LinkRule(**fields)
            if rule != PASS:
                flow = (source, target) if direction == UPSTREAM else (target, source)
                flows.setdefault(rule, []).append(flow)
    return [
        LinkFault(rule.kind, tuple(sorted(set(broken))), rule, links).adopt()
        for rule, broken in flows.items()
    ]


def partition_lines(sides: Sequence[Side], evidence: Sequence[Evidence]) -> Iterator[str]:
    """What a command prints about a partition that it made."""
    yield f"partitioned: {' | '.join(', '.join(side) for side in sides)}"
    for item in evidence:
        yield f"  {item}"


# --- kinds ------------------------------------------------------------------------------------


class LinkSettings(Struct, frozen=True, kw_only=True):
    """The ends of the links: a target, or `client`. `both`: the opposite flow too."""

    source: Target | str
    target: Target | str
    both: bool


class DelaySettings(LinkSettings, frozen=True, kw_only=True):
    by: float
    jitter: float


class BandwidthSettings(LinkSettings, frozen=True, kw_only=True):
    rate: int


class SliceSettings(LinkSettings, frozen=True, kw_only=True):
    bytes: int
    gap: float


class RandomResetSettings(LinkSettings, frozen=True, kw_only=True):
    percent: int


class PartitionSettings(Struct, frozen=True, kw_only=True):
    into: str
    how: str


ENDS = {
    "from": Field(
        LinkEndSchema(),
        "the sender: `client` (kvsim's own clients) or a target",
        required=True,
        attribute="source",
    ),
    "to": Field(LinkEndSchema(), "the receiver", required=True, attribute="target"),
    "both": Field(Flag(), "the opposite direction too", default=True, default_text="yes"),
}

PARTITION_METHODS = {
    "blackhole": "bytes are swallowed",
    "cut": "connections are reset",
}

PARTITIONS = {
    "leader alone": "the leader on one side, all others on the other",
    "one follower alone": "one follower, drawn from the seed, on one side",
    "minority and majority": "two sides drawn from the seed",
    "ring of majorities": "each node reaches a majority, and no two the same one "
    "(of three nodes: one link is cut)",
}


def _link_problems(settings: LinkSettings, cluster: Cluster) -> Iterator[str]:
    """Links that do not exist, whatever nodes the targets have."""
    ends = [_names(end) for end in (settings.source, settings.target)]
    if None not in ends and len({name for names in ends for name in names or ()}) == 1:
        yield f"there is no link from {settings.source} to {settings.target}"
    elif len(cluster.nodes) == 1 and CLIENT not in (settings.source, settings.target):
        yield f"cluster {cluster.name} has one node, and no link between nodes"


def _names(end: Target | str) -> tuple[str, ...] | None:
    """The names of an end that is not resolved by role or seed."""
    if isinstance(end, str):
        return (end,)
    return end.names or None


def _partition_problems(settings: PartitionSettings, cluster: Cluster) -> Iterator[str]:
    nodes = [node.name for node in cluster.nodes]
    try:
        separated_pairs(settings.into, nodes, nodes[0], random.Random(0))
    except ValueError as error:
        yield f"partition into {settings.into}: {error}"


def _flows(context: BuildContext, settings: LinkSettings) -> tuple[Flow, ...]:
    sources = _end(context, settings.source, "from")
    targets = _end(context, settings.target, "to")
    flows = [(source, target) for source in sources for target in targets if source != target]
    if settings.both:
        flows += [(target, source) for source, target in flows]
    if not flows:
        raise NoTarget(f"there is no link from {', '.join(sources)} to {', '.join(targets)}")
    return tuple(dict.fromkeys(flows))


def _end(context: BuildContext, end: Target | str, purpose: str) -> tuple[str, ...]:
    return (end,) if isinstance(end, str) else context.resolve(end, purpose)


def _build_partition(context: BuildContext, settings: PartitionSettings) -> Fault:
    try:
        rng = context.rng("partition")
        pairs = separated_pairs(settings.into, context.nodes, context.leader, rng)
    except ValueError as error:
        raise NoTarget(f"partition into {settings.into}: {error}") from None
    flows = tuple(
        flow for first, second in sorted(pairs) for flow in ((first, second), (second, first))
    )
    return LinkFault("partition", flows, LinkRule(settings.how), context.links)


def _draw_partition(draw: StormDraw, rng: random.Random) -> dict[str, Any]:
    """The leader alone, or the target on one side."""
    if draw.target == "leader" or not draw.other_nodes:
        return {"partition": {"into": "leader alone"}}
    targets = [draw.target] if isinstance(draw.target, str) else draw.target
    return {"blackhole": {"from": list(draw.other_nodes), "to": targets}}


def _link_kind(
    name: str,
    description: str,
    settings: type[Any],
    rule: Callable[[Any], LinkRule],
    *,
    evidence: str,
    fields: Mapping[str, Field] | None = None,
    draw_settings: Callable[[random.Random], dict[str, Any]] = lambda rng: {},
    **more: Any,
) -> FaultDeclaration[Any]:
    """A kind that sets one rule on the links between two ends."""

    def build(context: BuildContext, settings: LinkSettings) -> Fault:
        return LinkFault(name, _flows(context, settings), rule(settings), context.links)

    def draw(draw: StormDraw, rng: random.Random) -> dict[str, Any]:
        """From kvsim's clients, or from the other nodes, to the target."""
        others = list(draw.other_nodes)
        source = rng.choice([CLIENT, others]) if others else CLIENT
        return {name: {"from": source, "to": draw.target, **draw_settings(rng)}}

    return FaultDeclaration(
        name=name,
        description=description,
        settings=settings,
        fields={**ENDS, **(fields or {})},
        bare="",
        build=build,
        evidence=evidence,
        recovery=RECOVERY,
        draw=draw,
        breaks_links=True,
        by_traffic=True,
        problems=_link_problems,
        **more,
    )


def _milliseconds(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"


RECOVERY = "no rule is left, and everything passes"

CUT = _link_kind(
    "cut",
    "reset the connections of links, and every new one",
    LinkSettings,
    lambda settings: LinkRule("cut"),
    evidence="connections that were reset or refused, and no byte forwarded",
    order=70,
)
BLACKHOLE = _link_kind(
    "blackhole",
    "swallow all bytes on links; when the scope ends, proxies reset connections that lost some",
    LinkSettings,
    lambda settings: LinkRule("blackhole"),
    evidence="bytes offered, and none forwarded",
    order=80,
)
STALL = _link_kind(
    "stall",
    "hold all bytes on links; they arrive when the scope ends",
    LinkSettings,
    lambda settings: LinkRule("stall"),
    evidence="bytes offered, and none forwarded",
    holds_packets=True,
    order=90,
)
DELAY = _link_kind(
    "delay",
    "let bytes arrive later",
    DelaySettings,
    lambda settings: LinkRule(delay_s=settings.by, jitter_s=settings.jitter),
    fields={
        "by": Field(Duration(), "by how much", required=True),
        "jitter": Field(
            Duration(zero=True), "plus or minus up to", default=0.0, default_text="0ms"
        ),
    },
    draw_settings=lambda rng: {
        "by": _milliseconds(rng.uniform(0.005, 0.05)),
        "jitter": _milliseconds(rng.uniform(0, 0.005)),
    },
    evidence="how long bytes were held",
    holds_packets=True,
    default_weight=1,
    order=100,
)
BANDWIDTH = _link_kind(
    "bandwidth",
    "limit the bytes a second",
    BandwidthSettings,
    lambda settings: LinkRule(bytes_per_s=settings.rate),
    fields={
        "rate": Field(Int(1, 10**9, "bytes a second"), "how many", required=True),
    },
    draw_settings=lambda rng: {"rate": rng.randint(10_000, 100_000)},
    evidence="the rate of the bytes that were held",
    holds_packets=True,
    order=110,
)
SLICE = _link_kind(
    "slice",
    "cut what is sent into small pieces",
    SliceSettings,
    lambda settings: LinkRule(slice_bytes=settings.bytes, gap_s=settings.gap),
    fields={
        "bytes": Field(
            Int(1, 65536, "a number of bytes"),
            "at most this many a piece",
            default=1,
            default_text="1",
        ),
        "gap": Field(
            Duration(zero=True), "time between two pieces", default=0.0, default_text="0ms"
        ),
    },
    draw_settings=lambda rng: {"bytes": rng.randint(1, 16)},
    evidence="the size of the pieces",
    unsupported={"netns": "packets pass whole there"},
    order=120,
)
RANDOM_RESET = _link_kind(
    "random_reset",
    "reset a connection now and then",
    RandomResetSettings,
    lambda settings: LinkRule(reset_probability=settings.percent / 100),
    fields={
        "percent": Field(
            Int(1, 100, "a probability in percent"),
            "for each piece that is sent",
            required=True,
        )
    },
    draw_settings=lambda rng: {"percent": rng.randint(1, 5)},
    evidence="connections that were reset",
    order=130,
)
PARTITION = FaultDeclaration(
    name="partition",
    order=140,
    description="separate the nodes from each other; clients reach them all",
    settings=PartitionSettings,
    fields={
        "into": Field(Choice(PARTITIONS), "the sides", required=True),
        "how": Field(
            Choice(PARTITION_METHODS),
            "what happens between the sides",
            default="blackhole",
            default_text="blackhole",
        ),
    },
    bare="into",
    build=_build_partition,
    evidence="that of a blackhole or cut, for each pair of nodes",
    recovery=RECOVERY,
    draw=_draw_partition,
    default_weight=1,
    breaks_links=True,
    by_traffic=True,
    problems=_partition_problems,
)
