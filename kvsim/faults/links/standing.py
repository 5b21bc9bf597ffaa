"""The link proxies of a cluster that is up: started by one command, spoken to by later ones. `keeper.py` is their process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from kvsim.errors import UsageError
from kvsim.faults.links.child import Proxies, plan_of
from kvsim.faults.links.fault import LinkFault
from kvsim.faults.links.process import Flow
from kvsim.faults.links.pump import Road
from kvsim.faults.links.rules import PASS, Rule
from kvsim.process.companion import Companion, Silent
from kvsim.process.environment import Mark
from kvsim.process.resident import Resident


class Starting(Proxies):
    """Proxies that are being started: they end with this command unless they are told to stay."""

    def __init__(self, roads: Sequence[Road], seed: str, path: Path, mark: Mark) -> None:
        """Start them, to be spoken to at `path`, and wait until every road is open. Raises RunInvalid."""
        path.unlink(missing_ok=True)  # of a process that was killed
        self._companion = Companion("kvsim.faults.links.keeper", [str(path)], mark.variables())
        super().__init__(self._companion, (road.link for road in roads))
        try:
            self._ask(plan_of(roads, seed))
        except BaseException:
            self.close()
            raise

    def stay(self) -> None:
        """Let them live on when this command is over."""
        self._companion.send(b'"stay"\n')
        self._companion.leave()


class Standing(Proxies):
    """Proxies that an earlier command left standing. Closing ends the conversation only."""

    def __init__(self, path: Path) -> None:
        """`path` is where they are spoken to. Raises UsageError when they are gone, RunInvalid when they do not answer."""
        try:
            resident = Resident(path)
        except Silent as silent:
            raise UsageError(
                f"the link proxies of this cluster are gone: {silent}; kvsim down, then kvsim up"
            ) from None
        super().__init__(resident, ())
        try:
            self.links = frozenset(self._ask({"do": "links"}))
        except BaseException:
            self.close()
            raise


def broken(links: Proxies) -> list[LinkFault]:
    """What is broken at this moment by the links' own word, as faults that can be looked at and healed: one for each rule."""
    flows: dict[Rule, list[Flow]] = {}
    for name, ways in links.rules(links.links).items():
        source, _, target = name.partition("->")
        for way, words in ways.items():
            rule = Rule(**words)
            if rule != PASS:
                flows.setdefault(rule, []).append((source, target) if way == "up" else (target, source))
    return [
        LinkFault(rule.mode, tuple(sorted(set(hit))), rule, rule.mode, links).taken_up()
        for rule, hit in flows.items()
    ]


@contextlib.contextmanager
def standing(path: Path) -> Iterator[Standing]:
    """The proxies that are spoken to at `path`, for as long as inside. Raises UsageError, RunInvalid."""
    links = Standing(path)
    try:
        yield links
    finally:
        links.close()
