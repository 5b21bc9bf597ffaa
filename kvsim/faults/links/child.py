"""The link proxies from their parent's side: start them, set rules, ask what they have seen. Carries no byte itself."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from kvsim.errors import RunInvalid
from kvsim.faults.links.pump import Road
from kvsim.faults.links.rules import Rule
from kvsim.process.companion import Companion, Silent

ANSWER_WITHIN_S = 10.0

Way = tuple[str, str]  # link, up or down


class LinkProxies:
    """A process with a proxy for each link. Use as a context manager."""

    def __init__(self, roads: Sequence[Road], seed: str) -> None:
        """Start it and wait until every road is open. Raises RunInvalid."""
        self.links = frozenset(road.link for road in roads)
        self._process = Companion("kvsim.faults.links")
        plan = [[road.link, list(road.listen), list(road.target)] for road in roads]
        try:
            self._ask({"roads": plan, "seed": seed})
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> LinkProxies:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def set(self, rules: Mapping[Way, Rule], *, anew: bool = False) -> None:
        """Give ways their rules, all at once; with `anew` their links begin to count at that same moment."""
        told = [[*way, rule.to_json()] for way, rule in rules.items()]
        self._ask({"do": "set", "rules": told, "anew": anew})

    def seen(self, links: Collection[str]) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """link → way → the fields of rules.Seen."""
        return self._ask({"do": "seen", "links": sorted(links)})

    def rules(self, links: Collection[str]) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
        """link → way → the fields of rules.Rule that hold now."""
        return self._ask({"do": "rules", "links": sorted(links)})

    def close(self) -> None:
        """End it. Safe to repeat."""
        self._process.close()

    def _ask(self, order: Mapping[str, Any]) -> Any:
        self._process.send(json.dumps(order).encode() + b"\n")
        try:
            return json.loads(self._process.line(ANSWER_WITHIN_S))
        except Silent as silent:
            state = "have ended" if silent.ended else "do not answer"
            raise RunInvalid(f"the link proxies {state}: {silent}") from silent
