"""A user's own files in the working directory do not get in kvsim's way."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("program", [["-m", "kvsim"], ["-P", "-m", "kvsim"]])
def test_a_module_of_the_user_does_not_hide_one_of_the_standard_library(tmp_path, root, program):
    for name in ("queue", "random", "select", "struct", "json", "statistics", "argparse"):
        (tmp_path / f"{name}.py").write_text('raise SystemExit("the module of the user")\n')
    done = subprocess.run(
        [sys.executable, *program, "--version"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr


def test_a_worker_does_not_import_from_the_working_directory(tmp_path, root):
    (tmp_path / "random.py").write_text('raise SystemExit("the module of the user")\n')
    script = (
        "from kvsim.process.worker import WorkerProcess\n"
        "worker = WorkerProcess('random')\n"
        "worker.close_stdin()\n"
        "print(worker._process.wait(180), worker._errors.seek(0), worker._errors.read())\n"
        "worker.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert "the module of the user" not in done.stdout + done.stderr, done
    assert done.stdout.startswith("0 "), done
