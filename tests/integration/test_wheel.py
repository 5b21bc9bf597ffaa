"""kvsim as users get it: the wheel in a new environment; strict types of tests that use it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.installed_wheel import run, run_checked

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
# An unprivileged user that every system has.
NOBODY = 65534
WRONG_USES = {
    'kv_cluster.leader.put("k")': "call-arg",
    'kv_cluster.leader.put("k", 1)': "arg-type",
    "kv_cluster.leaders": "attr-defined",
    "cluster_factory(judge='no')": "arg-type",
}


@pytest.fixture
def environment(installed_wheel: Path) -> Path:
    return installed_wheel


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """An empty folder with a space in its name."""
    folder = tmp_path / "my store"
    folder.mkdir()
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder: the tests of docs/pytest.md, and a cluster."""
    page = (ROOT / "docs/pytest.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    (tmp_path / "test_store.py").write_text(example)
    shutil.copy(ROOT / "cluster.yaml", tmp_path)
    return tmp_path


def mypy(environment: Path, project: Path) -> subprocess.CompletedProcess[str]:
    python = environment / "bin/python"
    return run(
        python, "-m", "mypy", "--strict", "--cache-dir", environment / "mypy", ".", cwd=project
    )


def test_the_wheel_is_what_is_imported(environment, tmp_path):
    script = "import kvsim, pathlib; print(pathlib.Path(kvsim.__file__).parent)"
    folder = Path(run_checked(environment / "bin/python", "-c", script, cwd=tmp_path).strip())
    assert folder.is_relative_to(environment)
    assert (folder / "py.typed").is_file()
    assert list(folder.glob("report/timeline/*.js"))
    assert list(folder.glob("faults/preload/library/*.c"))


def test_the_command_is_installed(environment, tmp_path):
    assert run_checked(environment / "bin/kvsim", "--help", cwd=tmp_path).startswith("kvsim starts")


def test_the_tests_of_the_page_pass(environment, project):
    output = run_checked(environment / "bin/python", "-m", "pytest", "-q", cwd=project)
    assert "2 passed" in output


def test_the_tests_of_the_page_have_strict_types(environment, project):
    done = mypy(environment, project)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_use_is_an_error(environment, project):
    lines = "\n".join(f"    {use}" for use in WRONG_USES)
    (project / "test_wrong.py").write_text(
        "from kvsim.api.cluster import ClusterFactory, LiveCluster\n\n\n"
        "def test_wrong(kv_cluster: LiveCluster, cluster_factory: ClusterFactory) -> None:\n"
        f"{lines}\n"
    )
    done = mypy(environment, project)
    found = re.findall(r"^test_wrong\.py:(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.MULTILINE)
    assert found == [(str(5 + row), code) for row, code in enumerate(WRONG_USES.values())], (
        done.stdout + done.stderr
    )


@pytest.fixture
def kvsim(environment: Path, elsewhere: Path) -> Callable[..., str]:
    """Call the installed kvsim there; it must succeed."""

    def call(*words: str | Path) -> str:
        return run_checked(environment / "bin/kvsim", *words, cwd=elsewhere)

    return call


def test_scenarios_and_programs_are_found_by_name(kvsim, elsewhere):
    assert "VERDICT: PASS" in kvsim("run", "roles")
    assert "VERDICT: PASS" in kvsim("run", "storms/majority")
    assert sorted(path.name for path in elsewhere.iterdir()) == ["runs"]
    assert "VERDICT: PASS" in kvsim("verify", "runs/latest")
    kvsim("doctor", "kvstore")


def test_a_first_project(kvsim, elsewhere, environment):
    shown = kvsim("init", "--demo")
    assert "VERDICT: PASS" in shown
    command = next(line for line in shown.splitlines() if line.startswith("again: "))
    again = subprocess.run(
        command.removeprefix("again: "), shell=True, cwd=elsewhere, capture_output=True, text=True
    )
    assert again.returncode == 0, again.stderr
    broken = ("--program", "broken", "-o", "bug=follower_accepts_put")
    assert run(environment / "bin/kvsim", "run", "roles", *broken, cwd=elsewhere).returncode == 1
    kvsim("up")
    kvsim("down")


STALE = """\
{:process 0, :type :invoke, :f :write, :value 1}
{:process 0, :type :ok, :f :write, :value 1}
{:process 1, :type :invoke, :f :read, :value nil}
{:process 1, :type :ok, :f :read, :value nil}
"""


def test_a_history_of_another_tool_is_judged_without_a_cluster(environment, elsewhere):
    """By the command, and by the lines of Python that the page shows."""
    (elsewhere / "history.edn").write_text(STALE)
    page = (ROOT / "docs/checking-histories.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    done = run(environment / "bin/kvsim", "check", "history.edn", cwd=elsewhere)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith(
        "format: jepsen-edn, guessed from the content\nfail: 2 operations"
    )
    assert run_checked(environment / "bin/python", "-c", example, cwd=elsewhere) == "fail\n"
    (elsewhere / "history.edn").write_text(STALE.replace(":read, :value nil", ":read, :value 1"))
    assert run_checked(environment / "bin/python", "-c", example, cwd=elsewhere) == "pass\n"
    assert [path.name for path in elsewhere.iterdir()] == ["history.edn"]


SMALL = """\
scenario: small
title: a follower refuses
cluster: cluster.yaml
vars: {k: random_key, v: random_value}
steps:
  - put: {at: leader, key: "{k}", value: "{v}", expect: ok}
  - put: {at: n2, key: "{k}", value: "{v}", expect: refused}
"""


def test_the_tools_have_the_reference_store(kvsim, elsewhere, environment):
    assert "1 of 1" in kvsim("selftest", "follower_accepts_put")
    assert "VERDICT: PASS" in kvsim("repeat", "roles", "-n", "2")
    kvsim("init", "--demo")
    (elsewhere / "small.yaml").write_text(SMALL)
    command = environment / "bin/kvsim"
    broken = ("--program", "broken", "-o", "bug=follower_accepts_put")
    assert run(command, "run", "small.yaml", *broken, cwd=elsewhere).returncode == 1
    words = ("shrink", "runs/latest", "--tries", "1", "--out", "smaller.yaml")
    done = run(command, *words, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert "kvstore does not pass" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_than_the_one_who_installed_it(environment, elsewhere):
    for folder in (elsewhere, *elsewhere.parents[:3]):
        folder.chmod(0o777)
    if not os.access(sys.base_prefix, os.X_OK) or not _may_enter(Path(sys.base_prefix)):
        pytest.skip("other users may not run this interpreter")
    done = subprocess.run(
        [environment / "bin/kvsim", "init", "--demo"],
        cwd=elsewhere,
        user=NOBODY,
        group=NOBODY,
        extra_groups=[],
        env={"PATH": os.defpath, "HOME": str(elsewhere)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def _may_enter(folder: Path) -> bool:
    """Whether every user may enter a folder and all above it."""
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))
