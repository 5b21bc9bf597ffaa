"""A test of the tests: small mistakes in the algorithm must show. Each mutant is the module's own
text with one change.
"""

from __future__ import annotations

import random
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kvsim.checks.linearizability import absences, zones
from kvsim.checks.linearizability import build_zones as zone_building
from kvsim.checks.linearizability.build_zones import ZoneSet, build_zones
from kvsim.checks.linearizability.decision import Decision
from kvsim.checks.linearizability.register import Register
from kvsim.history.operations import CAS, DELETE, GET, PUT
from tests.checks.linearizability.history_builders import MIXES, disturbed, true_register
from tests.checks.linearizability.wing_gong import search

ABSENT_MUTANTS = {
    "a reader is content with an absence before its window": (
        "if self.absent or self.last_absent >= start:",
        "if self.absent or self.last_absent >= start - 3:",
    ),
    "a reader is not content with an absence inside its window": (
        "if self.absent or self.last_absent >= start:",
        "if self.absent:",
    ),
    "a killer kills although it was served": (
        "if self.absent and start > self.last_clear:",
        "if self.absent:",
    ),
    "a killer never kills": ("if self.absent and start > self.last_clear:", "if False:"),
    "a killer at the edge is not served": (
        "if self.absent and start > self.last_clear:",
        "if self.absent and start >= self.last_clear:",
    ),
    "no consumer is served with a spare absence": (
        "while self.consumers:\n            item",
        "while self.consumers and False:\n            item",
    ),
    "a delete may be used twice": (
        "self.used_deletes.add(item)\n        self._record",
        "self._record",
    ),
    "a delete that must happen is forgotten": (
        "            self._place_delete(time, item)\n        return True\n\n    def consumer",
        "            pass\n        return True\n\n    def consumer",
    ),
    "a delete does not serve killers": (
        "self.absent, self.last_clear = True, time\n",
        "self.absent = True\n",
    ),
    "a delete does not begin an absence": (
        "self.absent, self.last_clear = True, time\n",
        "self.last_clear = time\n",
    ),
    "a consumer may be served twice": (
        "                self.used_consumers.add(item)\n"
        "                self._record(time, Action.CONSUME, item)\n"
        "                return",
        "                self._record(time, Action.CONSUME, item)\n                return",
    ),
    "a consumer needs no absence": (
        "        if not self.absent and not self._delete_now(time):\n"
        "            return False\n        self.used",
        "        self.used",
    ),
    "a consumer leaves the key absent": (
        "self._record(time, Action.CONSUME, item)\n        self._present(time)",
        "self._record(time, Action.CONSUME, item)",
    ),
    "the latest delete first": (
        "heappush(self.deletes, (end, item))",
        "heappush(self.deletes, (-end, item))",
    ),
    "the latest consumer first": (
        "heappush(self.consumers, (end, item))",
        "heappush(self.consumers, (-end, item))",
    ),
    "a zone does not end the absence": (
        "self.absent = False\n        return True\n\n    def _delete_now",
        "return True\n\n    def _delete_now",
    ),
    "a zone that needs an absence does not": (
        "            if not self.absent and not self._delete_now(time):\n"
        "                return False\n"
        "            self.last_absent",
        "            self.last_absent",
    ),
    "windows reach into zones": ("            end = self.begins[last]\n", "            pass\n"),
    "windows inside zones are not found": (
        "            return None\n        last",
        "            pass\n        last",
    ),
}
BUILD_MUTANTS = {
    "zones forget reads' returns": ("first = min(first, reads)", "first = first"),
    "zones forget reads' calls": ("last = max(last, read_last[value])", "last = last"),
    "zones forget a cas's return": ("first = min(first, register.until[cas])", "first = first"),
    "zones forget a cas's call": ("last = max(last, register.call[cas])", "last = last"),
    "a read may be earlier than its write": ("if reads < last:", "if False:"),
    "a cas may be earlier than what it found": ("if register.until[cas] < last:", "if False:"),
    "an unknown put never happened": (
        "if until[at] != NEVER or value in first or value in follower:",
        "if until[at] != NEVER:",
    ),
    "an unknown cas never happened": (
        "if register.until[at] != NEVER or register.value[at] in clusters.read_first",
        "if register.until[at] != NEVER",
    ),
    "an instant counts as a period": (
        "(forward if zone.first < zone.last else backward)",
        "(forward if zone.first <= zone.last else backward)",
    ),
    "cycles are not found": ("if reached != len(clusters.kept):", "if False:"),
}
ZONES_MUTANTS = {
    "periods may overlap": ("zone[0] < end:", "zone[0] < end and False:"),
    "periods may not touch": ("zone[0] < end:", "zone[0] <= end:"),
    "instants may lie inside periods": ("if at and zone[0] < forward[at - 1][1]:", "if False:"),
    "instants may not touch the end of periods": (
        "if at and zone[0] < forward[at - 1][1]:",
        "if at and zone[0] <= forward[at - 1][1]:",
    ),
}


@pytest.fixture(scope="module")
def judged() -> list[tuple[Register, bool]]:
    """Histories with deletes and compare-and-sets in tight windows, and the search's answers."""
    rng, found = random.Random(5), []
    mixes = [
        {PUT: 1, DELETE: 2, GET: 2},
        {CAS: 2, DELETE: 2, GET: 1},
        {PUT: 1, CAS: 1, DELETE: 3, GET: 3},
    ]
    mixes += [dict.fromkeys(mix, 1) for mix in MIXES]
    for number in range(1_200):
        mix, ties = mixes[number % len(mixes)], number % 2 == 0
        size, unknown = rng.randrange(3, 14), rng.choice([0.0, 0.2])
        register = true_register(rng, size, rng.randrange(2, 6), mix, unknown=unknown, ties=ties)
        if number % 3:
            register = disturbed(rng, register)
        found.append((register, search(register).linearizable is True))
    return [*found, *((written(rows), truth) for rows, truth in RARE)]


# Histories that random ones rarely are: rows (call, until, kind, value, expected), linearizable?
RARE: list[tuple[list[tuple[int, int, int, int, int]], bool]] = [
    # Two compare-and-sets that depend on each other.
    ([(0, 9, CAS, 2, 1), (0, 9, CAS, 1, 2)], False),
    # Of two consumers, the one with the earlier end has to have the first absence.
    ([(0, 10, CAS, 1, 0), (0, 100, CAS, 2, 0), (1, 5, PUT, 3, 0), (20, 30, DELETE, 0, 0)], True),
    # Of two deletes, the one with the earlier end has to serve the read of "absent".
    (
        [
            (0, 40, PUT, 1, 0),
            (30, 80, DELETE, 0, 0),
            (50, 110, DELETE, 0, 0),
            (60, 70, GET, 0, 0),
            (71, 150, CAS, 2, 0),
            (81, 160, PUT, 3, 0),
            (161, 170, GET, 2, 0),
        ],
        True,
    ),
    # A killer whose window touches the delete before it.
    ([(1, 2, DELETE, 0, 0), (2, 3, PUT, 1, 0), (4, 8, GET, 0, 0)], True),
    # Two periods that touch.
    ([(0, 0, PUT, 1, 0), (1, 1, GET, 1, 0), (1, 1, PUT, 2, 0), (3, 4, GET, 2, 0)], True),
]


def written(rows: list[tuple[int, int, int, int, int]]) -> Register:
    register = Register()
    for index, row in enumerate(rows):
        register.add(*row, index)
    return register


Decide = Callable[[Register], bool | None]


def mutated(module: types.ModuleType, before: str, after: str) -> types.ModuleType:
    """`module` with the one place that reads `before` changed to `after`."""
    text = Path(module.__file__ or "").read_text()
    assert text.count(before) == 1, (
        f"{before!r} stands {text.count(before)} times in {module.__name__}"
    )
    mutant = types.ModuleType(f"mutant_of_{module.__name__.rpartition('.')[2]}")
    sys.modules[mutant.__name__] = mutant
    exec(compile(text.replace(before, after), mutant.__name__, "exec"), mutant.__dict__)
    return mutant


def absent_decider(mutant: types.ModuleType) -> Decide:
    def decide(register: Register) -> bool | None:
        zone_set = build_zones(register)
        if isinstance(zone_set, Decision):
            return zone_set.linearizable
        if zones.first_conflict(zone_set.forward, zone_set.backward):
            return False
        return mutant.explain_absences(zone_set).linearizable

    return decide


def build_decider(mutant: types.ModuleType) -> Decide:
    def decide(register: Register) -> bool | None:
        zone_set = mutant.build_zones(register)
        return (
            zone_set.linearizable
            if isinstance(zone_set, Decision)
            else zones.decide_zones(zone_set).linearizable
        )

    return decide


def zones_decider(mutant: types.ModuleType) -> Decide:
    return lambda register: mutant.decide(register).linearizable


KINDS = [
    (absences, ABSENT_MUTANTS, absent_decider),
    (zone_building, BUILD_MUTANTS, build_decider),
    (zones, ZONES_MUTANTS, zones_decider),
]
MUTANTS = [
    pytest.param(module, change, decider, id=name)
    for module, mutants, decider in KINDS
    for name, change in mutants.items()
]


@pytest.fixture(autouse=True)
def no_mutant_stays() -> Iterator[None]:
    yield
    for name in [name for name in sys.modules if name.startswith("mutant_of_")]:
        del sys.modules[name]


@pytest.mark.parametrize(("module", "change", "decider"), MUTANTS)
def test_a_mistake_in_the_algorithm_shows(
    module: types.ModuleType,
    change: tuple[str, str],
    decider: Callable[[types.ModuleType], Decide],
    judged: list[tuple[Register, bool]],
) -> None:
    decide = decider(mutated(module, *change))
    assert any(wrong(decide, register, truth) for register, truth in judged)


def wrong(decide: Decide, register: Register, truth: bool) -> bool:
    """True also when the mutant falls over."""
    try:
        return decide(register) is not truth
    except (IndexError, KeyError, AttributeError):
        return True


def test_without_a_mistake_nothing_shows(judged: list[tuple[Register, bool]]) -> None:
    assert not any(zones.decide(register).linearizable is not truth for register, truth in judged)
    assert isinstance(build_zones(judged[0][0]), ZoneSet | Decision)
