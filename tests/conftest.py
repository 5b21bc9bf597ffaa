"""What all tests share: nothing is left behind, whatever a test did."""

from __future__ import annotations

import os
import signal
import uuid
from pathlib import Path

import pytest

from kvsim.process import leftovers
from kvsim.process.environment import Mark

ROOT = Path(__file__).parent.parent

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # in the background of a shell; what tests start would ignore Ctrl-C, too
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(autouse=True)
def nothing_left_behind(monkeypatch):
    """No process that a test started through kvsim outlives it. Found by a mark of the test's own in the environment."""
    own = uuid.uuid4().hex
    monkeypatch.setenv("KVSIM_TEST", own)
    before = {one.identity for one in leftovers.find()}
    yield
    mine = [
        one for one in leftovers.find() if one.identity not in before and _descends_from_us(one.identity.pid)
    ]
    assert not mine, "left behind:\n" + "\n".join(one.describe() for one in mine)


def _descends_from_us(pid: int) -> bool:
    """Other workers run tests of their own beside us: only what hangs below this process, or below nobody, is judged here."""
    seen = set()
    while pid > 1 and pid not in seen:
        if pid == os.getpid():
            return True
        seen.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


@pytest.fixture
def mark() -> Mark:
    """A fresh mark for processes of one test."""
    return Mark(uuid.uuid4().hex)
