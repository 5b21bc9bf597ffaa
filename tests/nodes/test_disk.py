"""What a node does when its disk does not take what it writes: one clear line and a status, nothing acknowledged."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from kvstore.engine import Engine
from kvstore.log import Log

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="prlimit is not installed")
def test_a_node_that_cannot_write_at_its_start_says_so_in_one_line(tmp_path):
    words = ["--port=1", f"--data-dir={tmp_path}", "--role=leader", "--replication=async"]
    done = subprocess.run(
        ["prlimit", "--fsize=0", sys.executable, "-I", "-S", str(ROOT / "nodes/kvstore/__main__.py"), *words],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr == "kvstore: cannot start: [Errno 27] File too large\n"


class Failing(Log):
    """A log whose disk does not sync."""

    def sync(self):
        if self.segments:
            raise OSError(errno.EIO, "Input/output error")


class OnFailing(Engine):
    log_class = Failing


def test_what_is_read_back_counts_as_durable_only_once_it_was_synced(tmp_path):
    engine = Engine(str(tmp_path), "always")
    engine.put(b"k", b"v")
    engine.commit()
    engine.close()
    with pytest.raises(OSError, match="Input/output error"):
        OnFailing(str(tmp_path), "always")
    assert OnFailing(str(tmp_path), "never").get(b"k") == b"v"
