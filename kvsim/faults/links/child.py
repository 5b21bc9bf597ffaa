"""The link proxies from their parent's side: a proxy of its own for each link. Carries no byte itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kvsim.faults.links.process import Flow, Links, Way, link
from kvsim.faults.links.pump import Road


class LinkProxies(Links):
    """A process with a proxy for each link."""

    says = "the link proxies"

    def __init__(self, roads: Sequence[Road], seed: str) -> None:
        """Start it and wait until every road is open. Raises RunInvalid."""
        super().__init__("kvsim.faults.links", (road.link for road in roads))
        plan = [[road.link, list(road.listen), list(road.target)] for road in roads]
        try:
            self._ask({"roads": plan, "seed": seed})
        except BaseException:
            self.close()
            raise

    def ways(self, source: str, target: str) -> list[Way]:
        """Up its own link, and down the link of the other."""
        ways = [(link(source, target), "up"), (link(target, source), "down")]
        return [way for way in ways if way[0] in self.links]

    def unreached(self, flows: Collection[Flow]) -> list[str]:
        """None: a proxy that has no rule has nothing else that could hold anything up."""
        return []
