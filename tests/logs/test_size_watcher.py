"""Watching logs for floods."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from kvsim.logs.size_watcher import LogGrowth, SizeWatcher
from kvsim.waiting import Deadline, wait_until


def no_flood(growth: LogGrowth) -> None:
    raise AssertionError(f"called for {growth}")


def test_a_flood_is_reported_once(tmp_path: Path) -> None:
    floods: list[LogGrowth] = []
    reported = threading.Event()
    flood, small = tmp_path / "flood", tmp_path / "small"
    with SizeWatcher(
        lambda growth: (floods.append(growth), reported.set()), period_s=0.005
    ) as watcher:
        watcher.add("n1", flood, 1000)
        watcher.add("n2", small, 1000)
        small.write_bytes(b"x" * 1000)
        flood.write_bytes(b"x" * 1001)
        assert reported.wait(180)
        flood.write_bytes(b"x" * 2000)
    assert [(growth.name, growth.path) for growth in floods] == [("n1", flood)]
    assert floods[0].size > 1000
    assert watcher.failures == []


def test_growth_is_reported_up_to_the_end(tmp_path: Path) -> None:
    notes: list[LogGrowth] = []
    log = tmp_path / "log"
    with SizeWatcher(no_flood, on_growth=notes.append, period_s=60) as watcher:
        watcher.add("n1", log, 10**6)
        log.write_bytes(b"last words")
    assert [(growth.name, growth.size) for growth in notes] == [("n1", 10)]


def test_a_removed_log_is_not_watched(tmp_path: Path) -> None:
    log = tmp_path / "log"
    watcher = SizeWatcher(no_flood)
    watcher.add("n1", log, 1)
    watcher.remove(log)
    watcher.remove(log)
    log.write_bytes(b"xxxx")
    watcher.check_sizes()
    assert watcher.failures == []


def test_a_failing_callback_does_not_end_the_watch(tmp_path: Path) -> None:
    log, other = tmp_path / "log", tmp_path / "other"
    with SizeWatcher(no_flood, period_s=0.005) as watcher:
        for path in (log, other):
            watcher.add(path.name, path, 1)
            path.write_bytes(b"xxxx")
        wait_until(lambda: len(watcher.failures) == 2, Deadline.after(180), "two failures")


def test_closing_leaves_no_thread_and_is_allowed_before_the_start() -> None:
    SizeWatcher(no_flood).close()
    with SizeWatcher(no_flood) as watcher:
        assert any(thread.name == "kvsim-log-sizes" for thread in threading.enumerate())
    watcher.close()
    assert not any(thread.name == "kvsim-log-sizes" for thread in threading.enumerate())


@pytest.fixture(autouse=True)
def no_thread_left():
    yield
    assert threading.active_count() == 1 or all(
        "kvsim" not in thread.name for thread in threading.enumerate()
    )
