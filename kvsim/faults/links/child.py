"""The link proxies from their parent's side: a proxy of its own for each link. Carries no byte itself."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from kvsim.faults.links.process import Flow, Links, Way, link
from kvsim.faults.links.pump import Road
from kvsim.process.companion import Companion


def plan_of(roads: Sequence[Road], seed: str) -> dict[str, object]:
    """The first order: which roads there are."""
    return {"roads": [[road.link, list(road.listen), list(road.target)] for road in roads], "seed": seed}


class Proxies(Links):
    """A process with a proxy for each link, whoever started it."""

    says = "the link proxies"

    def ways(self, source: str, target: str) -> list[Way]:
        """Up its own link, and down the link of the other."""
        ways = [(link(source, target), "up"), (link(target, source), "down")]
        return [way for way in ways if way[0] in self.links]

    def unreached(self, flows: Collection[Flow]) -> list[str]:
        """None: a proxy that has no rule has nothing else that could hold anything up."""
        return []


class LinkProxies(Proxies):
    """Proxies that end with kvsim."""

    def __init__(self, roads: Sequence[Road], seed: str) -> None:
        """Start them and wait until every road is open. Raises RunInvalid."""
        super().__init__(Companion("kvsim.faults.links"), (road.link for road in roads))
        try:
            self._ask(plan_of(roads, seed))
        except BaseException:
            self.close()
            raise
