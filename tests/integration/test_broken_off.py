"""When kvsim itself fails in the middle of a run, or is killed: what was recorded can be looked at all the same."""

from __future__ import annotations

import subprocess
import sys

import psutil

from kvsim.waiting import Deadline, wait_until
from tests.integration.conftest import Project

FAILS = """
import sys
import kvsim.scenario.WHERE as place
from kvsim.cli import main

def fails(*_, **__):
    raise ZeroDivisionError("a mistake of the tester")

place.WHAT = fails
sys.exit(main(sys.argv[1:]))
"""


def run_with_a_mistake(project: Project, where: str, what: str) -> subprocess.CompletedProcess[str]:
    script = FAILS.replace("WHERE", where).replace("WHAT", what)
    words = [sys.executable, "-c", script, "run", "scenarios/roles.yaml"]
    return subprocess.run(words, cwd=project.folder, capture_output=True, text=True, timeout=60)


def left_in(project: Project) -> list[psutil.Process]:
    return [
        one for one in psutil.process_iter(["cmdline"]) if str(project.folder) in str(one.info["cmdline"])
    ]


def test_a_mistake_of_kvsim_in_the_middle_leaves_a_film_that_says_so(project):
    done = run_with_a_mistake(project, "run", "finish_loads")
    assert done.returncode == 70
    film = project.latest / "report.html"
    assert f"film: {film}" in done.stderr
    assert "kvsim's own fault" in done.stderr.splitlines()[-1]
    page = film.read_text()
    assert "ZeroDivisionError: a mistake of the tester" in page
    assert (project.latest / "broken-off.txt").read_text().startswith("ZeroDivisionError: a mistake")
    assert "PUT k-" in page  # and what had happened until then
    assert not (project.latest / "proof.json").exists()
    assert not left_in(project)


def test_so_does_a_mistake_in_judging(project):
    done = run_with_a_mistake(project, "run", "write_proof")
    assert done.returncode == 70
    assert "a mistake of the tester" in (project.latest / "report.html").read_text()


def test_a_kvsim_that_was_killed_says_where_to_look_and_its_film_can_be_drawn(project):
    project.scenario("""
- put: {at: leader, key: a, value: b, expect: ok}
- sleep: {for: 30s, why: to be killed in}
""")
    process = project.start("run", "scenarios/mine.yaml")

    def asleep() -> bool:
        return '"verb":"sleep"' in (project.latest / "history.jsonl").read_text()

    wait_until(lambda: (project.latest / "history.jsonl").exists() and asleep(), Deadline.after(30), "asleep")
    run = project.latest
    process.kill()
    _, err = process.communicate(timeout=30)  # the watchdog holds our end until it has spoken
    assert f"kvsim report {run}" in err
    assert not left_in(project)
    done = project.run("report", run)
    assert done.returncode == 0, done.stderr
    page = (run / "report.html").read_text()
    assert "kvsim itself was ended in the middle of the run" in page
    assert "PUT a b" in page
