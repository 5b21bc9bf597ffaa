"""A folder of kvsim's own is gone after any ending, a SIGKILL included."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from kvsim.launcher.net import scratch
from kvsim.waiting import Deadline, wait_until

HOLDING = """
import sys
from kvsim.launcher.net import scratch
with scratch("kvsim-test-") as folder:
    (folder / "run" / "data").mkdir(parents=True)
    (folder / "run" / "data" / "log").write_text("x")
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_a_folder_goes_with_its_context_even_after_an_error():
    with pytest.raises(ValueError, match="mine"), scratch("kvsim-test-") as folder:
        (folder / "file").write_text("x")
        raise ValueError("mine")
    assert not folder.exists()


def test_a_folder_goes_when_its_kvsim_is_killed():
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        folder = Path(process.stdout.readline().strip())
        assert (folder / "run" / "data" / "log").exists()
        process.kill()
    wait_until(lambda: not folder.exists(), Deadline.after(30), "the folder to be removed")
