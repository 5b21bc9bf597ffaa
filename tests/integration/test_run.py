"""`kvsim run`: what a run leaves behind, how it ends, and that it ends clean whatever happens to it."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kvsim.process import leftovers
from kvsim.process.environment import Mark
from kvsim.waiting import Deadline, wait_until
from tests.integration.conftest import kill_group

SLOW_STEPS = """
- put: {at: leader, key: k, value: v}
- sleep: {for: 30s, why: so that the test can end the run in the middle}
"""


def events(run: Path) -> list[dict]:
    lines = (run / "history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def wait_for_step(project, verb: str) -> Path:
    """The run directory of the run that is under way, once it is in a step of this verb."""

    def there() -> Path | None:
        journal = project.folder / "runs" / "latest" / "history.jsonl"
        text = journal.read_text() if journal.exists() else ""
        return project.latest if '"event":"step"' in text and f'"verb":"{verb}"' in text else None

    return wait_until(there, Deadline.after(20), f"the step {verb}")


def wait_until_gone(run: Path) -> None:
    mark = Mark(json.loads((run / "meta.json").read_text())["run"])
    wait_until(lambda: not leftovers.find(mark), Deadline.after(10), "every process of the run to be gone")


def test_the_proof_matches_the_lesson_and_the_run_directory_explains_itself(project):
    run = project.run("run", "scenarios/roles.yaml", "--seed", "7")
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search("leader|LEADER", run.stdout)
    assert re.search("follower|FOLLOWER|redirect|read.only", run.stdout)
    assert "[node] starting as LEADER on port" in run.stdout
    assert run.stdout.endswith("VERDICT: PASS\n")
    assert run.stdout == (project.latest / "proof.txt").read_text()
    names = {str(path.relative_to(project.latest)) for path in project.latest.rglob("*") if path.is_file()}
    logs = {f"nodes/n{number}/1.log" for number in (1, 2, 3)}
    assert (
        names
        == {
            "meta.json",
            "history.jsonl",
            "scenario.yaml",
            "cluster.yaml",
            "proof.txt",
            "proof.json",
            "report.html",
            "trace.json",
        }
        | logs
    )


def test_one_seed_makes_the_same_choices_twice(project):
    def asked() -> list[tuple]:
        assert project.run("run", "scenarios/roles.yaml", "--seed", "4127").returncode == 0
        return [
            (e["node"], e.get("verb"), e.get("key"), e.get("value"))
            for e in events(project.latest)
            if e["event"] == "operation"
        ]

    first = asked()
    assert first == asked()
    assert project.run("run", "scenarios/roles.yaml", "--seed", "4128").returncode == 0
    other = [e["key"] for e in events(project.latest) if e["event"] == "operation" and "key" in e]
    assert not set(other) & {key for _, _, key, _ in first}


def test_json_junit_and_github_say_the_same(project):
    steps = "- put: {at: each follower, key: k, value: v, expect: ok}"
    run = project.run("run", project.scenario(steps), "--json", "--junit", "out.xml", "--github")
    assert run.returncode == 1
    proof = json.loads(run.stdout.splitlines()[0])
    assert proof["verdict"] == "fail"
    suite = ElementTree.parse(project.folder / "out.xml").getroot()[0]
    assert int(suite.get("failures")) >= 2
    assert "::error file=scenarios/mine.yaml,line=6," in run.stdout


def test_a_failing_step_is_told_like_in_a_debugger(project):
    steps = "- put: {at: each follower, key: k, value: v, expect: ok}"
    out = project.run("run", project.scenario(steps), "--seed", "1").stdout
    assert "scenarios/mine.yaml:6: step" in out
    assert "sent      b'PUT k v\\n'" in out
    assert "received  b'ERR read-only" in out
    assert "expected  ok" in out
    assert "before  k: n1 not found" in out
    assert "refused PUT k" in out  # the node's own last log lines
    assert "again     python -m kvsim run scenarios/mine.yaml --seed 1" in out


def test_runs_in_parallel_never_meet(project):
    several = [project.start("run", "scenarios/roles.yaml") for _ in range(4)]
    said = [process.communicate(timeout=60) for process in several]
    assert [process.returncode for process in several] == [0] * 4, said
    assert len(list((project.folder / "runs").glob("2*"))) == 4


def test_a_run_works_while_the_cluster_is_up(project):
    project.run("up")
    assert project.run("run", "scenarios/roles.yaml").returncode == 0
    assert project.run("status").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_interrupt_stops_in_order_and_still_writes_the_run(project, number):
    process = project.start("run", project.scenario(SLOW_STEPS))
    run = wait_for_step(project, "sleep")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 2, out + err
    assert "the run did not finish: interrupted" in out
    stops = [event for event in events(run) if event["event"] == "exit"]
    assert [event["status"] for event in stops] == [0, 0, 0]
    assert not list(run.glob("nodes/*/data"))
    assert project.run("verify", "runs/latest").returncode == 2


LOADED = (
    "- load: {start: w, clients: 2, mix: {put: 50, get: 50}, keys: 2, rate: 100, minima: {total: 1000000}}\n"
)


@pytest.mark.parametrize(
    ("program", "before", "status"),
    [
        (("kvstore",), "", 2),
        (
            ("broken", "-o", "bug=follower_refuses_but_stores"),
            "- put: {at: any follower, key: k, value: v, expect: refused}\n",
            1,
        ),
    ],
    ids=["nothing wrong", "a violation"],
)
def test_an_interrupted_load_is_unknown_unless_a_violation_was_seen(project, root, program, before, status):
    steps = LOADED + before + "- sleep: {for: 60s, why: the test ends it}"
    scenario = project.scenario(steps, head="checks: [load_exercised]")
    folder, *options = program
    process = project.start("run", scenario, "--program", root / "nodes" / folder / "node.yaml", *options)
    wait_for_step(project, "sleep")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == status, out + err
    assert "INVALID" not in out


def test_a_sigkill_of_kvsim_leaves_no_node_and_no_data(project):
    process = project.start("run", project.scenario(SLOW_STEPS))
    run = wait_for_step(project, "sleep")
    kill_group(process)
    wait_until_gone(run)
    wait_until(
        lambda: not list(run.glob("nodes/*/data")), Deadline.after(10), "the data directories to be gone"
    )
    assert events(run)[-1]["event"] == "step"  # what was recorded until then can be read


def test_a_full_disk_under_the_run_directory_ends_with_a_clear_verdict(project):
    steps = "\n".join("- put: {at: leader, key: k, value: v}" for _ in range(200))
    scenario = project.scenario(steps)
    limited = [f"ulimit -f 24; exec {os.sys.executable} -m kvsim run {scenario}"]
    import subprocess

    run = subprocess.run(
        ["bash", "-c", *limited], cwd=project.folder, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 3, run.stdout + run.stderr
    assert "could not be recorded" in run.stderr
    assert "Traceback" not in run.stderr
    wait_until_gone(project.latest)


def test_the_files_that_were_run_are_the_ones_recorded(project):
    assert project.run("run", "scenarios/roles.yaml").returncode == 0
    assert (project.latest / "scenario.yaml").read_text() == (
        project.folder / "scenarios/roles.yaml"
    ).read_text()


def test_a_scenario_that_needs_what_the_program_lacks_is_skipped_and_that_is_no_pass(project):
    scenario = project.scenario("- put: {at: leader, key: k, value: v}", head="needs: [elects]")
    run = project.run("run", scenario)
    assert run.returncode == 3
    assert "elects" in run.stderr


def test_a_second_interrupt_stops_everything_now(project, root):
    like = f"like: {root}/nodes/broken/node.yaml"
    project.write("node.yaml", f"program: stubborn\n{like}\nstop: {{signal: TERM, grace: 30s}}\n")
    stubborn = ("--program", "./node.yaml", "-o", "bug=ignores_sigterm")
    process = project.start("run", project.scenario(SLOW_STEPS), *stubborn)
    run = wait_for_step(project, "sleep")
    process.send_signal(signal.SIGINT)
    wait_until(
        lambda: (run / "nodes/n1/1.log").read_text().count("signal 15 noted"),
        Deadline.after(20),
        "a node to hear SIGTERM",
    )
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGINT
    wait_until_gone(run)
    wait_until(
        lambda: not list(run.glob("nodes/*/data")), Deadline.after(10), "the data directories to be gone"
    )
