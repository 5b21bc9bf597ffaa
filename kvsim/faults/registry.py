"""The kinds of fault: how one is declared, what it is built from, and how declarations are found.

Every `FaultDeclaration` at the top level of a module of this package is a kind: a new file is
enough to add one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from msgspec import Struct

import kvsim.faults
from kvsim.config.fault_schema import FaultKind, StormDraw
from kvsim.config.schema import Field
from kvsim.config.target import Target, TargetSchema
from kvsim.discovery import discover
from kvsim.faults.fault import Fault
from kvsim.faults.kill_during_request import RequestWrapper
from kvsim.faults.node_handle import NodeHandle
from kvsim.history.history import FaultTraits

if TYPE_CHECKING:
    # Needed by those faults only that use them.
    from kvsim.faults.preload.control import PreloadControl
    from kvsim.network.links import Links

Settings = TypeVar("Settings")


class NoTarget(Exception):
    """The fault cannot be built: its target matches no node now, or the cluster cannot have it."""


class BuildContext(Struct, frozen=True):
    """What the fault of one step is built from.

    `seed` is the step's. `leader` is the node that leads now, if there is exactly one. `resolve`:
    the nodes that a target matches now; the second argument is added to the seed for random
    choices; raises NoTarget. `wrap_next_request`: the function is called around the next request of
    a step.
    """

    seed: str
    nodes: tuple[str, ...]
    leader: str | None
    resolve: Callable[[Target, str], tuple[str, ...]]
    handle: Callable[[str], NodeHandle]
    wrap_next_request: Callable[[RequestWrapper], None]
    maybe_links: Links | None = None
    maybe_preload: PreloadControl | None = None

    def handles(self, target: Target) -> tuple[NodeHandle, ...]:
        """The nodes of a target. Raises NoTarget."""
        return tuple(map(self.handle, self.resolve(target, "")))

    def rng(self, purpose: str) -> random.Random:
        return random.Random(f"{self.seed}:{purpose}")

    @property
    def links(self) -> Links:
        """Raises NoTarget where links cannot be broken."""
        if self.maybe_links is None:
            raise NoTarget(
                "links cannot be broken here: `links: proxied` or `links: netns` in the cluster "
                "file (with --attach: kvsim up --links)"
            )
        return self.maybe_links

    @property
    def preload(self) -> PreloadControl:
        """Raises NoTarget where no library is loaded into the nodes."""
        if self.maybe_preload is None:
            raise NoTarget(
                "nothing is loaded into these nodes: faults of disks and clocks need nodes that "
                "this run starts, not --attach"
            )
        return self.maybe_preload


class FaultDeclaration(FaultKind, Generic[Settings], frozen=True, kw_only=True):
    """A kind and how its faults are built. `build` raises NoTarget."""

    settings: type[Settings]
    build: Callable[[BuildContext, Settings], Fault]

    @property
    def traits(self) -> FaultTraits:
        """What judging needs to know of the kind. It is recorded with each fault."""
        return FaultTraits(
            ends_nodes=self.ends_nodes,
            damages_data=self.damages_data,
            cuts_power=self.cuts_power,
            may_refuse=self.may_refuse,
            preloads=self.preloads,
        )


AT = Field(TargetSchema(), "the target", required=True)


class AtSettings(Struct, frozen=True):
    """Settings of a kind that needs a target only."""

    at: Target


def draw_at(name: str) -> Callable[[StormDraw, random.Random], dict[str, Any]]:
    """How a storm draws a kind that needs a target only."""
    return lambda draw, rng: {name: {"at": draw.target}}


@cache
def fault_kinds() -> Mapping[str, FaultDeclaration[Any]]:
    """Every kind, by name and in order."""
    return discover(kvsim.faults, FaultDeclaration)
