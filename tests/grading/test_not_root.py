"""Grading as a user who is not root, with the isolation that this system gives that user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml

from .conftest import PYTHONS, School

NOBODY = 65534
BECOME = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--"]


@pytest.fixture
def unprivileged(root: Path):
    """The school of a user without privileges, whose own Python has kvsim."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("only root can become somebody else")
    folder = Path(tempfile.mkdtemp(prefix="kvsim-nobody-"))
    folder.chmod(0o755)
    try:
        school = School(folder, root)
        school.tester = [*BECOME, str(_own_python(folder, root))]
        os.chown(folder, NOBODY, NOBODY)
        yield school
    finally:
        shutil.rmtree(folder)


def _own_python(folder: Path, root: Path) -> Path:
    """A virtual environment that looks into ours."""
    for python in PYTHONS:
        venv = folder / f"venv-{python.name}"
        subprocess.run([python, "-m", "venv", "--without-pip", venv], capture_output=True)
        for packages in venv.glob("lib/*/site-packages"):
            packages.joinpath("ours.pth").write_text(f"{root}\n{Path(yaml.__file__).parents[1]}\n")
        tried = subprocess.run(
            [*BECOME, str(venv / "bin/python"), "-m", "kvsim", "-V"], capture_output=True
        )
        if tried.returncode == 0:
            return venv / "bin/python"
    pytest.skip(
        f"no Python that user {NOBODY} may run has what kvsim needs; ours is {sys.executable}"
    )


@pytest.mark.slow
def test_a_good_submission_gets_its_points_beside_bad_ones(unprivileged):
    unprivileged.plan(
        "build: [sh, build.sh]\nscenarios: [{file: roles.yaml, points: 10}]\n"
        "limits: {time: 20s, disk: 20MB}"
    )
    for name, before in (
        ("good", ""),
        ("hangs", "exec sleep 1000"),
        ("fills", "for n in 1 2 3 4 5; do head -c 15000000 /dev/zero >/tmp/$$-$n; done"),
        ("forges", "for f in ../../../*.jsonl; do echo x >>$f; done; exit 3"),
    ):
        folder = unprivileged.submission(name, before, serves=name != "hangs")
        (folder / "build.sh").write_text("touch built")
    done = unprivileged.grade("-j", 2, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    grades = {one["submission"]: one["points"] for one in report["grades"]}
    assert (grades["good"], grades["hangs"], grades["forges"]) == (10, 0, 0)
    assert "not its own user" in report["isolation"] or "limits only" in report["isolation"]
    assert f"limits: {report['limits']}" in done.stderr
    assert (unprivileged.folder / "out/good/submission/built").exists()


def test_isolated_is_refused_with_the_reason(unprivileged):
    unprivileged.submission("good")
    done = unprivileged.grade("--isolated")
    assert done.returncode == 4
    assert "grade as root" in done.stderr


WITHOUT_SANDBOX = """
import sys
from kvsim.grading.sandbox import Isolation
import kvsim.cli.grade as command, kvsim.cli as cli
command.best_isolation = lambda: Isolation.NONE
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_without_a_sandbox_the_disk_usage_is_measured(unprivileged):
    unprivileged.plan("scenarios: [{file: roles.yaml, points: 10}]\nlimits: {time: 60s, disk: 1MB}")
    unprivileged.submission("good")
    fill = "for n in $(seq 400); do head -c 1000000 /dev/zero >$(dirname $0)/$n; done; sleep 100"
    unprivileged.submission("fills", fill, serves=False)
    words = unprivileged.words("-j", 2, "--json")
    at = words.index("-m")
    words[at : at + 2] = ["-c", WITHOUT_SANDBOX]
    done = subprocess.run(
        words, cwd=unprivileged.folder, capture_output=True, text=True, timeout=100
    )
    assert done.returncode in {0, 2}, done.stderr
    grades = {one["submission"]: one for one in json.loads(done.stdout)["grades"]}
    assert grades["good"]["points"] == 10
    assert grades["fills"]["points"] == 0
    assert "limit reached: disk" in json.dumps(grades["fills"])
