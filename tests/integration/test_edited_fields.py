"""Every field of every event of a run is edited, one after another, by a forger who redoes the
chain of the journal, all digests, and the digest of the record in the pages: `kvsim verify` names
the edit.

`FREE` lists the fields that nothing else in a record can contradict. A forger has to redo the
digest of the record in proof.txt and the reports for them, too, or the edit is named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.forgeries import JOURNAL, Event, other, with_a_chain
from tests.integration.test_verify import SCENARIO, copy, kvsim, problems_of

KILLED = """  - fault: {{kill: {{at: one follower}}, do: [get: {{at: leader, key: "{{k}}"}}]}}
"""
# Field → why nothing else in the record can contradict it.
FREE = {
    "fault_evidence.measured": "what a fault measured, once; its sentence is held",
    "fault_plan.required": "a storm draws it, and may draw another one in another version",
    # Events of these kinds depend on how loaded the machine is.
    "limit": "how much of a time limit was used; held where it is the closest",
    "silent": "how a node that did not answer was asked again; what follows from it is held",
    "unsolicited": "bytes that belong to no request",
    "load_made.made": "how far a load was at a moment; held between its neighbours",
    "log.size": "how long a log was at a moment; held by its length at the end",
    "operation.allowed_s": "the time limit of one request; held where it was nearly used",
    "owner.pid": "a process of the node; held where a claim rests on it",
    "ready.probes.ping": "the bytes of a ping, of which only the meaning is held",
    "cluster_ready.probes.ping": "the bytes of a ping, of which only the meaning is held",
    "ready.probes.port.pid": "a process of the node, which may have started another one",
    "cluster_ready.probes.port.pid": "a process of the node, which may have started another one",
}
# Of all fields, so many are tried in the fast stage.
ONE_OF = 12

Place = tuple[int, tuple[str | int, ...]]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    folder = tmp_path_factory.mktemp("fields")
    head, checks, rest = SCENARIO.partition("checks:")
    (folder / "storm.yaml").write_text((head + KILLED + checks + rest).format(root=root))
    finished = kvsim("run", "storm.yaml", "--out", "runs", folder=folder)
    run = (folder / "runs/latest").resolve()
    # What the run proves does not matter here.
    assert (run / "proof.json").is_file(), finished.stdout + finished.stderr
    return run


def places(run: Path) -> dict[str, Place]:
    """Field, as `kind.name.name` with `#` for a position in a list, → where it is first."""
    found: dict[str, Place] = {}
    for index, line in enumerate((run / JOURNAL).read_text().splitlines()):
        event = json.loads(line)
        for path in _paths(event):
            if path[0] not in ("chain", "event"):
                names = ("#" if isinstance(step, int) else step for step in path)
                found.setdefault(".".join((event["event"], *names)), (index, path))
    return found


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    items: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, dict):
        items = iter(value.items())
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        yield (*path, key)
        yield from _paths(item, (*path, key))


def change(events: list[Event], place: Place) -> None:
    index, path = place
    target: Any = events[index]
    for step in path[:-1]:
        target = target[step]
    target[path[-1]] = other(target[path[-1]])


def is_free(field: str) -> bool:
    return any(field == free or field.startswith(f"{free}.") for free in FREE)


def edited(recorded: Path, folder: Path, place: Place, *, pages: bool) -> list[str]:
    run = copy(recorded, folder)
    with_a_chain(lambda events: change(events, place), pages=pages)(run)
    return problems_of(run)


def expect_named(fields: dict[str, Place], recorded: Path, folder: Path) -> None:
    unnamed = [
        field
        for field, place in fields.items()
        if not edited(recorded, folder, place, pages=not is_free(field))
    ]
    assert not unnamed, f"{len(unnamed)} of {len(fields)} edits were not named: {unnamed}"


def test_edited_fields_are_named(recorded, tmp_path):
    found = places(recorded)
    expect_named(dict([*found.items()][::ONE_OF]), recorded, tmp_path)


@pytest.mark.slow
def test_each_edited_field_is_named(recorded, tmp_path):
    expect_named(places(recorded), recorded, tmp_path)


def test_the_record_has_the_fields_that_may_be_free(recorded):
    found = places(recorded)
    kinds = {field.partition(".")[0] for field in found}
    named = [field for field in FREE if "." in field]
    gone = [field for field in named if field.partition(".")[0] in kinds and field not in found]
    assert not gone, f"no event has these any more: {gone}"
