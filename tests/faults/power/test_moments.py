"""The states of the moments of a record."""

from __future__ import annotations

import random

from kvsim.faults.power.disk_model import DiskModel
from kvsim.faults.power.moments import moments_of, share_of_each, states_at
from kvsim.faults.power.recorded_calls import Kind, RecordedCall

ROOT = "/data"


def call(number: int, kind: Kind, **fields) -> RecordedCall:
    times = {"began_ns": 10 * number, "time_ns": 10 * number + 5}
    return RecordedCall(kind, 2 * number - 1, 2 * number, **times, **fields)


CALLS = [
    call(1, Kind.CREATED, file=2, paths=(f"{ROOT}/f",)),
    call(2, Kind.WRITTEN, file=2, at=0, length=600, result=600, data=b"a" * 600),
    call(3, Kind.SYNCED, file=2),
    call(4, Kind.WRITTEN, file=2, at=0, length=3, result=3, data=b"bbb"),
]


def states(limit: int):
    disk, rng, found = DiskModel(1, ROOT), random.Random(0), {}
    for moment in moments_of(disk, CALLS):
        cuts = list(states_at(disk, moment, limit, rng))
        found[moment.name.partition(" (")[0]] = [cut.state.files.get("f") for cut in cuts]
    return found


def test_every_state_before_and_after_each_sync_and_change_of_names():
    assert {name: len(of_moment) for name, of_moment in states(100).items()} == {
        "before created f": 1,
        "after created f": 2,
        # Two sectors, and whether the file has its name.
        "before synced": 8,
        "after synced": 1,
        "at the end": 2,
    }
    found = states(100)
    assert set(found["before synced"]) == {
        None,
        b"",
        b"a" * 512,
        b"a" * 600,
        bytes(512) + b"a" * 88,
    }
    assert found["after synced"] == [b"a" * 600]
    assert set(found["at the end"]) == {b"a" * 600, b"bbb" + b"a" * 597}


def test_with_a_limit_nothing_and_everything_come_first():
    assert states(2)["before synced"] == [None, b"a" * 600]


def test_what_was_acknowledged_is_counted_up_to_the_beginning_of_a_sync():
    disk = DiskModel(1, ROOT)
    before, after = [
        (moment.must_ns, moment.may_ns)
        for moment in moments_of(disk, CALLS)
        if "synced" in moment.name
    ]
    assert (before, after) == ((30, 35), (35, 35))


def test_the_limit_is_shared_out():
    assert share_of_each([1] * 10 + [1000] * 10, 510) == 50
    assert share_of_each([8, 8], 1000) == 1000
