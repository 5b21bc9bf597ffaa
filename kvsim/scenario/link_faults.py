"""Faults of links out of their words: which flows they hit, and by what rule. One builder a kind; carries nothing out."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from kvsim.config.names import CLIENT
from kvsim.config.scenario import Step
from kvsim.faults.fault import Fault
from kvsim.faults.links.fault import LinkFault
from kvsim.faults.links.parting import parted
from kvsim.faults.links.process import Links
from kvsim.faults.links.rules import Rule
from kvsim.scenario.context import Context
from kvsim.scenario.meaning import NoTarget, who
from kvsim.scenario.roles import leaders

Settings = Mapping[str, Any]
Flows = tuple[tuple[str, str], ...]

RULES: dict[str, Callable[[Settings], Rule]] = {
    "cut": lambda settings: Rule("cut"),
    "blackhole": lambda settings: Rule("blackhole"),
    "stall": lambda settings: Rule("stall"),
    "delay": lambda settings: Rule(delay_s=settings["by"], jitter_s=settings["jitter"]),
    "bandwidth": lambda settings: Rule(bytes_per_s=settings["rate"]),
    "slice": lambda settings: Rule(slice_bytes=settings["bytes"], gap_s=settings["gap"]),
    "drop": lambda settings: Rule(drop=settings["percent"] / 100),
}


def of_link(kind: str, context: Context, step: Step, settings: Settings) -> Fault:
    """One rule on the flows between two ends. Raises NoTarget."""
    flows = _flows(context, step, settings)
    return LinkFault(kind, flows, RULES[kind](settings), kind, _links(context))


def partition(context: Context, step: Step, settings: Settings) -> Fault:
    """Part the nodes by a named shape. Raises NoTarget."""
    leading = leaders(context.seen)
    leader = leading[0] if len(leading) == 1 else None
    try:
        rng = random.Random(f"{context.seed}:{step.id}:partition")
        pairs = parted(settings["into"], list(context.launcher.nodes), leader, rng)
    except ValueError as error:
        raise NoTarget(f"partition into {settings['into']}: {error}") from None
    flows = tuple(flow for one, other in sorted(pairs) for flow in ((one, other), (other, one)))
    how = settings["how"]
    return LinkFault("partition", flows, RULES[how](settings), how, _links(context))


BUILDERS = {**{kind: partial(of_link, kind) for kind in RULES}, "partition": partition}


def _flows(context: Context, step: Step, settings: Settings) -> Flows:
    sources = _end(context, step, settings["from"], "from")
    targets = _end(context, step, settings["to"], "to")
    flows = [(one, other) for one in sources for other in targets if one != other]
    if settings["both"]:
        flows += [(other, one) for one, other in flows]
    if not flows:
        raise NoTarget(f"there is no link from {', '.join(sources)} to {', '.join(targets)}")
    return tuple(dict.fromkeys(flows))


def _end(context: Context, step: Step, words: object, salt: str) -> tuple[str, ...]:
    return (CLIENT,) if words == CLIENT else who(context, step, words, salt)


def _links(context: Context) -> Links:
    if context.links is None:
        raise NoTarget(
            "links cannot be broken here: `links: proxied` or `links: netns` in the cluster file (with --attach: kvsim up --links)"
        )
    return context.links
