"""Growth under load: what is large, certain and stays is found; what falls again is not."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from kvsim.checks.registry import apply
from kvsim.checks.slope import slope_of
from kvsim.checks.verdict import CheckResult, Verdict
from kvsim.history.binary_file import save
from kvsim.history.history import History
from kvsim.history.journal import Event
from kvsim.history.operations import Operations
from kvsim.history.run_record import RunRecord
from tests.checks.run_record.run_builder import RunBuilder

MIB = 1 << 20
LOAD = {
    "id": "1.1",
    "name": "work",
    "mix": {"get": 1},
    "minima": {},
    "epoch_ns": 0,
    "rate": None,
    "key_count": 10,
}


def judged(name: str, after: int, values: Sequence[int], field: str, **load: object) -> CheckResult:
    """A load of 4 s with these samples, and one after it."""
    builder = RunBuilder().up()
    events = [Event(1.0, "load_start", {**LOAD, **load})]
    plain = {"memory": 10 * MIB, "threads": 1, "files": 10, "disk": 0}
    for number, value in enumerate(values):
        fields = {"node": "n1", "incarnation": 1, **plain, field: value}
        events.append(Event(2.1 + number / 4, "usage", fields))
    events.append(Event(5.0, "load_stop", {"name": "work", "counts": {}}))
    events.append(Event(6.0, "usage", {**events[-2].fields, field: after}))
    builder.events += events
    return next(result for result in apply(builder.record()) if result.name == name)


FILES, MEMORY = "files_and_threads_level_off", "memory_and_disk_level_off"


@pytest.mark.parametrize("field", ["files", "threads"])
@pytest.mark.parametrize(
    ("values", "after", "verdict"),
    [
        ([10, 40, 70, 100, 130, 160, 190], 190, Verdict.FAIL),
        # It closes them a little later.
        ([10, 40, 70, 100, 130, 160, 190], 30, Verdict.PASS),
        # As many as clients came.
        ([10, 14, 18, 22, 26, 30, 34], 34, Verdict.PASS),
        # A pool that was filled once.
        ([10, 110, 110, 110, 110, 110, 110], 110, Verdict.PASS),
        ([10, 200, 10, 200, 10, 200, 90], 90, Verdict.PASS),
    ],
)
def test_files_and_threads(field, values, after, verdict):
    assert judged(FILES, after, values, field).verdict is verdict


def test_the_growth_is_given_with_its_interval():
    (finding,) = judged(FILES, 310, [10, 60, 110, 160, 210, 260, 310], "files").findings
    assert "the open files of n1 grew from 10 to 310 while load work worked" in finding.message
    assert "by 200 a second (200 to 200)" in finding.message


@pytest.mark.parametrize(
    ("field", "mix", "warnings"),
    [("memory", {"put": 1}, 1), ("disk", {"put": 1}, 0), ("disk", {"get": 1}, 1)],
)
def test_memory_and_disk_are_warned_of(field, mix, warnings):
    values = [number * 4 * MIB for number in range(7)]
    result = judged(MEMORY, values[-1], values, field, mix=mix)
    assert (result.verdict, len(result.warnings)) == (Verdict.PASS, warnings)


def test_too_few_samples_judge_nothing():
    assert judged(FILES, 900, [10, 300, 600, 900], "files").verdict is None


def test_the_interval_of_a_slope_holds_the_true_one():
    slope = slope_of([0, 1, 2, 3, 4, 5], [0, 2.1, 3.9, 6.1, 7.9, 10])
    assert slope is not None and slope.low < 2 < slope.high and slope.rises
    assert slope_of([1, 1, 1, 1, 1], [1, 2, 3, 4, 5]) is None
    flat = slope_of([0, 1, 2, 3, 4], [5, 6, 5, 6, 5])
    assert flat is not None and not flat.rises


@pytest.mark.parametrize(("cost_us", "warnings"), [(0.5, 1), (0.0, 0)])
def test_a_write_that_takes_longer_with_more_keys(tmp_path, cost_us, warnings):
    operations, now_ns = Operations(), 0
    for number in range(3_000):
        begin_ns, now_ns = now_ns, now_ns + round(1000 * (100 + cost_us * number))
        operations.add(begin_ns, now_ns, 1_000_000, f"k{number}", "put", "v", node="n1")
    save(History(operations), tmp_path / "work.history")
    builder = RunBuilder().up()
    builder.add("load_start", **{**LOAD, "key_count": 3_000})
    builder.add("load_stop", name="work", counts={"ok": 3_000})
    record = RunRecord(
        builder.record().meta, builder.events, builder.logs, [tmp_path / "work.history"]
    )
    result = next(one for one in apply(record) if one.name == "writes_keep_their_pace")
    assert (result.judged, len(result.warnings)) == (1, warnings)
    assert all("500 us more for every 1,000 keys" in one.message for one in result.warnings)
