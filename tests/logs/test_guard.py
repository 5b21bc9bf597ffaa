"""Watching logs for floods."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from kvsim.logs.guard import Growth, LogGuard
from kvsim.waiting import Deadline, wait_until


def no_flood(growth: Growth) -> None:
    raise AssertionError(f"called for {growth}")


def test_a_flood_is_called_out_once(tmp_path: Path) -> None:
    floods: list[Growth] = []
    seen = threading.Event()
    flood, calm = tmp_path / "flood", tmp_path / "calm"
    with LogGuard(1000, lambda growth: (floods.append(growth), seen.set()), period_s=0.005) as guard:
        guard.add("n1", flood)
        guard.add("n2", calm)
        calm.write_bytes(b"x" * 1000)
        flood.write_bytes(b"x" * 1001)
        assert seen.wait(10)
        flood.write_bytes(b"x" * 2000)
    assert [(growth.name, growth.path) for growth in floods] == [("n1", flood)]
    assert floods[0].size > 1000
    assert guard.failures == []


def test_growth_is_noted_up_to_the_last_look(tmp_path: Path) -> None:
    notes: list[Growth] = []
    log = tmp_path / "log"
    with LogGuard(10**6, no_flood, on_growth=notes.append, period_s=60) as guard:
        guard.add("n1", log)
        log.write_bytes(b"last words")
    assert [(growth.name, growth.size) for growth in notes] == [("n1", 10)]


def test_what_is_removed_is_not_watched(tmp_path: Path) -> None:
    log = tmp_path / "log"
    guard = LogGuard(1, no_flood)
    guard.add("n1", log)
    guard.remove(log)
    guard.remove(log)
    log.write_bytes(b"xxxx")
    guard.look()
    assert guard.failures == []


def test_a_failing_listener_does_not_end_the_watch(tmp_path: Path) -> None:
    log, other = tmp_path / "log", tmp_path / "other"
    with LogGuard(1, no_flood, period_s=0.005) as guard:
        for path in (log, other):
            guard.add(path.name, path)
            path.write_bytes(b"xxxx")
        wait_until(lambda: len(guard.failures) == 2, Deadline.after(10), "two notes")


def test_closing_leaves_no_thread_and_is_safe_unstarted() -> None:
    LogGuard(1, no_flood).close()
    with LogGuard(1, no_flood) as guard:
        assert any(thread.name == "kvsim-log-guard" for thread in threading.enumerate())
    guard.close()
    assert not any(thread.name == "kvsim-log-guard" for thread in threading.enumerate())


@pytest.fixture(autouse=True)
def no_thread_left():
    yield
    assert threading.active_count() == 1 or all(
        "kvsim" not in thread.name for thread in threading.enumerate()
    )
