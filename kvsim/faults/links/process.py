"""A process that carries links, from its parent's side: it is told what they do to what flows, and asked what they have seen.

How it carries them is the business of its own module: proxies (`child.py`), or a router between namespaces (`kvsim/faults/netns/`).
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping
from typing import Any, Self

from kvsim.errors import RunInvalid
from kvsim.faults.links.rules import Rule
from kvsim.process.companion import Companion, Silent
from kvsim.process.resident import Resident

ANSWER_WITHIN_S = 10.0

Way = tuple[str, str]  # link, up or down
Flow = tuple[str, str]  # from, to


def link(source: str, target: str) -> str:
    """The name of the link on which `source` reaches `target`."""
    return f"{source}->{target}"


class Links(ABC):
    """All links of a run. Use as a context manager."""

    says = "the links"  # for messages

    def __init__(self, process: Companion | Resident, links: Iterable[str]) -> None:
        """`process` carries them. Whoever derives from this says the first word to it, and closes it when that fails."""
        self.links = frozenset(links)
        self._asked, self._closed = 0, False
        self._process = process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: object, *_: object) -> None:
        """Raises RunInvalid when its process has ended by itself: what nodes met then was not the scenario's doing."""
        try:
            if error is None and not self._closed:
                self.rules(())
        finally:
            self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @abstractmethod
    def ways(self, source: str, target: str) -> list[Way]:
        """Where what `source` sends to `target` flows, all ways of it."""

    @abstractmethod
    def unreached(self, flows: Collection[Flow]) -> list[str]:
        """Those links, of the flows that ought to pass again, on which something sent on purpose does not arrive."""

    def set(self, rules: Mapping[Way, Rule], *, anew: bool = False) -> None:
        """Give ways their rules, all at once; with `anew` their links begin to count at that same moment. Raises RunInvalid."""
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
        self._closed = True
        self._process.close()

    def _ask(self, order: Mapping[str, Any]) -> Any:
        """Its answer to one order. Whoever was interrupted before the answer came is not answered later in the next one's stead."""
        self._asked += 1
        self._process.send(json.dumps({**order, "number": self._asked}).encode() + b"\n")
        try:
            number, answer = 0, None
            while number != self._asked:
                number, answer = json.loads(self._process.line(ANSWER_WITHIN_S))
            return answer
        except Silent as silent:
            state = "have ended" if silent.ended else "do not answer"
            raise RunInvalid(f"{self.says} {state}: {silent}") from silent
