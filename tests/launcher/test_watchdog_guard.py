"""A temporary folder of kvsim is removed at the end of kvsim, also after SIGKILL."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kvsim.launcher import watchdog
from kvsim.launcher.watchdog_guard import scratch
from kvsim.waiting import Deadline, wait_until

HOLDING = """
import sys
from kvsim.launcher.watchdog_guard import scratch
with scratch("kvsim-test-") as folder:
    (folder / "run" / "data").mkdir(parents=True)
    (folder / "run" / "data" / "log").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_folder_is_removed_at_the_end_of_its_context_even_after_an_error():
    with pytest.raises(ValueError, match="mine"), scratch("kvsim-test-") as folder:
        (folder / "file").write_text("x")
        raise ValueError("mine")
    assert not folder.exists()


def test_a_folder_is_removed_when_its_kvsim_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        folder = Path(process.stdout.readline().strip())
        assert (folder / "run" / "data" / "log").exists()
        process.kill()
    wait_until(lambda: not folder.exists(), Deadline.after(180), "the folder to be removed")


def test_a_folder_that_an_unseen_process_makes_again_is_removed(tmp_path, monkeypatch):
    folder = tmp_path / "data"
    folder.mkdir()
    pauses = []

    def pause(seconds: float) -> None:
        assert not folder.exists()
        pauses.append(seconds)
        if len(pauses) == 1:
            folder.mkdir()

    monkeypatch.setattr(watchdog.time, "sleep", pause)
    watchdog.main("no-such-run", "", [str(folder)])
    assert not folder.exists()
    assert len(pauses) == 1
