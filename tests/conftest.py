"""What all tests share: no test leaves a process behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import leftovers

# How long an example takes says how busy the machine is.
settings.register_profile("kvsim", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("kvsim")

ROOT = Path(__file__).parent.parent
pytest_plugins = ("tests.installed_wheel", "tests.scenario_fixtures")

# Ignored when the tests run in the background of a shell. What tests start would ignore it, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """No process that a test started through kvsim outlives the test.

    Found by the tag of kvsim in its environment.
    """
    before = {leftover.identity for leftover in leftovers.find()}
    yield
    left = [
        leftover
        for leftover in leftovers.find()
        if leftover.identity not in before and _descends_from_us(leftover.identity.pid)
    ]
    assert not left, "left behind:\n" + "\n".join(leftover.describe() for leftover in left)


def _descends_from_us(pid: int) -> bool:
    """Whether a process is below this one. Other test processes have their own."""
    visited = set()
    while pid > 1 and pid not in visited:
        if pid == os.getpid():
            return True
        visited.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False
