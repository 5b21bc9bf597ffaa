"""A node whose disk fails: one clear line, a status, and no write is acknowledged."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kvstore.engine import Engine
from kvstore.log import RecordLog

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not installed")
def test_a_node_that_cannot_write_at_its_start_reports_it_in_one_line(tmp_path):
    program = [sys.executable, "-I", "-S", str(ROOT / "nodes/kvstore/__main__.py")]
    args = ["--port=1", f"--data-dir={tmp_path}", "--role=leader", "--replication=async"]
    command = ["prlimit", "--fsize=0", *program, *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 1
    assert done.stderr == "kvstore: cannot start: [Errno 27] File too large\n"


class UnsyncedLog(RecordLog):
    """A log whose disk does not sync."""

    def sync(self):
        if self.segments:
            raise OSError(errno.EIO, "Input/output error")


class UnsyncedEngine(Engine):
    log_class = UnsyncedLog


def test_what_is_read_at_the_start_is_durable_only_after_a_sync(tmp_path):
    engine = Engine(str(tmp_path), "always")
    engine.put(b"k", b"v")
    engine.commit()
    engine.close()
    with pytest.raises(OSError, match="Input/output error"):
        UnsyncedEngine(str(tmp_path), "always")
    assert UnsyncedEngine(str(tmp_path), "never").get(b"k") == b"v"
