"""kvsim itself fails in the middle of a run, or is killed: what was recorded can be read."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from kvsim.waiting import Deadline, wait_until
from tests.integration.conftest import Project

FAILS = """
import sys
import MODULE as broken
from kvsim.cli import main

def fail(*_, **__):
    raise ZeroDivisionError("a mistake of the tester")

broken.FUNCTION = fail
sys.exit(main(sys.argv[1:]))
"""


def run_with_a_mistake(
    project: Project, function: str, module: str = "kvsim.runner.run"
) -> subprocess.CompletedProcess[str]:
    """`kvsim run`, where a function of the module raises."""
    script = FAILS.replace("FUNCTION", function).replace("MODULE", module)
    command = [sys.executable, "-c", script, "run", "scenarios/roles.yaml"]
    return subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=90)


def processes_in(project: Project) -> list[psutil.Process]:
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(project.folder) in str(process.info["cmdline"])
    ]


@pytest.mark.parametrize("function", ["finish_loads", "write_proof"])
def test_a_mistake_of_kvsim_leaves_a_timeline_that_names_it(project, function):
    done = run_with_a_mistake(project, function)
    assert done.returncode == 70
    timeline = project.latest / "report.html"
    assert f"timeline: {timeline}" in done.stderr
    assert "error in kvsim itself" in done.stderr.splitlines()[-1]
    page = timeline.read_text()
    assert "ZeroDivisionError: a mistake of the tester" in page
    # What had happened until then is in it.
    assert "PUT k-" in page
    report = (project.latest / "crash.txt").read_text()
    assert report.startswith("ZeroDivisionError: a mistake")
    assert not (project.latest / "proof.json").exists()
    assert not processes_in(project)


def test_a_mistake_while_nodes_are_stopped_leaves_no_process_and_no_data(project):
    done = run_with_a_mistake(project, "kill_hidden", "kvsim.launcher.stop")
    assert done.returncode == 70, done.stderr
    assert not processes_in(project)
    assert not list(project.latest.glob("nodes/*/data"))


def test_a_kvsim_that_was_killed_names_the_run_and_its_timeline_can_be_drawn(project):
    project.scenario("""
- put: {at: leader, key: a, value: b, expect: ok}
- sleep: {for: 60s, why: to be killed in}
""")
    process = project.start("run", "scenarios/mine.yaml")

    def asleep() -> bool:
        journal = project.latest / "history.jsonl"
        return journal.exists() and '"verb":"sleep"' in journal.read_text()

    wait_until(asleep, Deadline.after(180), "the sleep")
    run = project.latest
    process.kill()
    # The watchdog has the other end of stderr until it has written its message.
    _, err = process.communicate(timeout=180)
    assert f"kvsim report {run}" in err
    assert not processes_in(project)
    done = project.run("report", run)
    assert done.returncode == 0, done.stderr
    page = (run / "report.html").read_text()
    assert "kvsim itself was ended in the middle of the run" in page
    assert "PUT a b" in page
