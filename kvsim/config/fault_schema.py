"""A kind of fault in the language of scenarios. The kinds are declared in `kvsim/faults/`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct, field

from kvsim.config.cluster import Cluster
from kvsim.config.schema import Field, Record

if TYPE_CHECKING:
    # Only for annotations: a command that draws nothing does not import it.
    import random


class StormDraw(Struct, frozen=True):
    """The target of a fault that a storm draws, and the nodes that the target does not name."""

    target: str | list[str]
    other_nodes: Sequence[str]


# From what a storm drew to the YAML of a fault: {kind: settings}.
DrawFault = Callable[[StormDraw, "random.Random"], dict[str, Any]]


def no_problems(settings: Any, cluster: Cluster) -> Iterator[str]:
    """Every setting is possible on every cluster."""
    return iter(())


class FaultKind(Struct, frozen=True, kw_only=True, eq=False):
    """A kind of fault.

    In the language: `order` is its position in lists, `fields` are its settings, `settings` the
    class that they become. `bare` is the setting that a text without a key sets. `only_with`:
    setting -> (another setting, the values of that one with which this setting is allowed).

    In a storm: `draw` makes such a fault, where a storm can; `default_weight` is its share in a
    storm that names no kinds.

    What it needs: `preloads`: a library in the nodes; `records`: one that records what they write;
    `breaks_links`: links that can be broken, except where `links` has a value in `unsupported`
    (value -> why not); `holds_packets`: with `links: netns`, the router's delay queue.

    `exclusive`: two faults of kinds with the same word cannot hold one node at a time. `problems`:
    why the settings are not possible on a cluster.

    What it does: `by_traffic`: only traffic can show that it took effect; `ends_nodes`: whether the
    process of a node ends; `damages_data`: stored data are damaged; `cuts_power`: what was not
    synced is lost; `may_refuse`: a sound node may refuse requests. `evidence` and `recovery`
    describe what is measured, for the docs.
    """

    name: str
    order: int
    description: str
    settings: type[Any]
    fields: Mapping[str, Field]
    evidence: str
    recovery: str
    bare: str = "at"
    only_with: Mapping[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)
    draw: DrawFault | None = None
    default_weight: int = 0
    preloads: bool = False
    records: bool = False
    breaks_links: bool = False
    unsupported: Mapping[str, str] = field(default_factory=dict)
    holds_packets: bool = False
    by_traffic: bool = False
    ends_nodes: Literal["no", "may", "always"] = "no"
    damages_data: bool = False
    cuts_power: bool = False
    may_refuse: bool = False
    exclusive: str = ""
    problems: Callable[[Any, Cluster], Iterator[str]] = no_problems

    def record(self) -> Record:
        """The schema of the kind's settings."""
        return Record(self.name, self.fields, bare=self.bare, result=self.settings)

    def contradictions(self, settings: Any) -> Iterator[str]:
        """Settings that have no meaning beside the others."""
        for name, (other, values) in self.only_with.items():
            written = self._value(settings, other)
            if self._value(settings, name) is not None and written not in values:
                expected = " or ".join(values)
                yield (
                    f"{self.name}: `{name}` is for `{other}: {expected}`, "
                    f"and this is `{other}: {written}`"
                )

    def _value(self, settings: Any, name: str) -> Any:
        return getattr(settings, self.fields[name].attribute or name)
