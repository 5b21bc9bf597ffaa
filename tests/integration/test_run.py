"""`kvsim run`: the files of a run, and how a run ends: by itself, by a signal, by a full disk."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kvsim.folders import find_paths
from kvsim.process.environment import ProcessTag
from kvsim.waiting import Deadline, wait_until
from tests import leftovers
from tests.integration.conftest import Project, kill_group

LONG = """
- put: {at: leader, key: k, value: v}
- sleep: {for: 60s, why: the test ends the run here}
"""
RUN_FILES = {
    "meta.json",
    "programs.json",
    "history.jsonl",
    "scenario.yaml",
    "cluster.yaml",
    "proof.txt",
    "proof.json",
    "report.html",
    "trace.json",
}


def events_of(run: Path) -> list[dict]:
    lines = (run / "history.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def requests_of(run: Path) -> list[tuple]:
    """(node, verb, key, value) of every request of a run."""
    return [
        (event["node"], event.get("verb"), event.get("key"), event.get("value"))
        for event in events_of(run)
        if event["event"] == "operation"
    ]


def wait_for_step(project: Project, verb: str) -> Path:
    """Wait until the current run is in a step of this verb; its run directory."""

    def run_in_step() -> Path | None:
        journal = project.folder / "runs" / "latest" / "history.jsonl"
        text = journal.read_text() if journal.exists() else ""
        return project.latest if '"event":"step"' in text and f'"verb":"{verb}"' in text else None

    return wait_until(run_in_step, Deadline.after(180), f"the step {verb}")


def wait_until_gone(run: Path) -> None:
    """Wait until no process and no data directory of a run is left."""
    tag = ProcessTag(json.loads((run / "meta.json").read_text())["run"])
    deadline = Deadline.after(180)
    wait_until(lambda: not leftovers.find(tag), deadline, "every process of the run to be gone")
    wait_until(
        lambda: not find_paths(run, "nodes/*/data"), deadline, "the data directories to be gone"
    )


# --- the files of a run ---------------------------------------------------------------------------


def test_a_run_that_passed_takes_at_most_25_lines_with_the_proof_of_its_roles(project):
    run = project.run("run", "scenarios/roles.yaml", "--seed", "7")
    lines = run.stdout.splitlines()
    assert lines[0].startswith("PASS    roles: ") and lines[-1] == "VERDICT: PASS"
    gaps = lines[lines.index("not exercised") :]
    gaps = gaps[: gaps.index("")]
    assert len(lines) - len(gaps) <= 25
    assert re.search(r"n1  leader +PUT \S+ \S+  →  OK", run.stdout)
    assert re.search(r"n3  follower PUT \S+ \S+  →  ERR read-only, leader is on port", run.stdout)
    whole = project.run("run", "scenarios/roles.yaml", "scenarios/roles.yaml", "--seed", "7")
    assert whole.stdout.count("PASS    roles: ") == 2 and "2 runs: 2 pass" in whole.stdout


def test_the_proof_has_the_expected_lines_and_the_run_directory_is_complete(project):
    run = project.run("run", "scenarios/roles.yaml", "--seed", "7", "--full")
    assert run.returncode == 0, run.stdout + run.stderr
    assert re.search("leader|LEADER", run.stdout)
    assert re.search("follower|FOLLOWER|redirect|read.only", run.stdout)
    assert "[node] starting as LEADER on port" in run.stdout
    assert run.stdout.endswith("VERDICT: PASS\n")
    assert run.stdout == (project.latest / "proof.txt").read_text()
    files = {
        str(path.relative_to(project.latest))
        for path in project.latest.rglob("*")
        if path.is_file()
    }
    assert files == RUN_FILES | {f"nodes/n{number}/1.log" for number in (1, 2, 3)}
    # The file that was run is the one that is recorded.
    recorded, written = project.latest / "scenario.yaml", project.folder / "scenarios/roles.yaml"
    assert recorded.read_text() == written.read_text()


def test_parallel_runs_do_not_interfere_and_the_same_seed_makes_the_same_choices(project):
    seeds = ("4127", "4127", "4128", "4129")
    processes = [project.start("run", "scenarios/roles.yaml", "--seed", seed) for seed in seeds]
    outputs = [process.communicate(timeout=90) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, outputs
    requests: dict[int, list[list[tuple]]] = {}
    for run in (project.folder / "runs").glob("2*"):
        seed = json.loads((run / "meta.json").read_text())["seed"]
        requests.setdefault(seed, []).append(requests_of(run))
    first, second = requests[4127]
    assert first == second
    assert not {key for _, _, key, _ in first if key} & {key for _, _, key, _ in requests[4128][0]}
    assert requests.keys() == {4127, 4128, 4129}


def test_a_failing_step_is_explained_in_text_json_junit_and_for_github(project):
    scenario = project.scenario("- put: {at: each follower, key: k, value: v, expect: ok}")
    run = project.run("run", scenario, "--seed", "1", "--json", "--junit", "out.xml", "--github")
    assert run.returncode == 1
    assert json.loads(run.stdout.splitlines()[0])["verdict"] == "fail"
    suite = ElementTree.parse(project.folder / "out.xml").getroot()[0]
    assert int(suite.get("failures")) >= 2
    assert "::error file=scenarios/mine.yaml,line=6," in run.stdout
    text = (project.latest / "proof.txt").read_text()
    assert "scenarios/mine.yaml:6: step" in text
    assert "sent      PUT k v\\n" in text
    assert "received  ERR read-only" in text
    assert "expected  ok" in text
    assert "before  k: n1 not found" in text
    # The last lines of the node's own log.
    assert "refused PUT k" in text
    assert re.search(r"again +\S.*kvsim run scenarios/mine.yaml --seed 1", text), text


def test_a_run_works_while_the_cluster_is_up(project):
    project.run("up")
    assert project.run("run", "scenarios/roles.yaml").returncode == 0
    assert project.run("status").returncode == 0


def test_a_scenario_that_needs_a_missing_capability_is_skipped_and_does_not_pass(project):
    scenario = project.scenario("- put: {at: leader, key: k, value: v}", head="needs: [elects]")
    run = project.run("run", scenario)
    assert run.returncode == 3
    assert "elects" in run.stderr


def test_a_stop_command_that_cannot_be_started_is_in_the_proof_and_reported_by_down(project, root):
    program = f"program: unstoppable\nlike: {root}/nodes/kvstore/node.yaml\n"
    steps = "stop: {steps: [{command: [./stopper], wait: 60s}, {signal: TERM, wait: 60s}]}\n"
    project.write("node.yaml", program + steps)
    # A script without its interpreter: `lint` sees a file, and the system cannot start it.
    project.write("stopper", "#!/no/such/interpreter\n").chmod(0o755)
    scenario = project.scenario("- put: {at: leader, key: k, value: v}")
    run = project.run("run", scenario, "--program", "./node.yaml")
    assert run.returncode == 3, run.stdout + run.stderr
    message = f"node n1: cannot start {project.folder}/stopper"
    assert message in run.stdout
    assert message in (project.latest / "report.html").read_text()
    project.run("up", "--program", "./node.yaml")
    down = project.run("down")
    assert message in down.stderr
    assert "n1 stopped in" in down.stdout


# --- how a run ends -------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_stops_the_nodes_in_order_and_writes_the_run(project, number):
    process = project.start("run", project.scenario(LONG))
    run = wait_for_step(project, "sleep")
    process.send_signal(number)
    out, err = process.communicate(timeout=180)
    assert process.returncode == 2, out + err
    assert "the run did not finish: interrupted" in out
    exits = [event for event in events_of(run) if event["event"] == "exit"]
    assert [event["status"] for event in exits] == [0, 0, 0]
    assert not find_paths(run, "nodes/*/data")
    assert project.run("verify", "runs/latest").returncode == 2


def test_a_second_interrupt_kills_the_nodes_at_once(project, root):
    like = f"like: {root}/nodes/broken/node.yaml"
    project.write("node.yaml", f"program: stubborn\n{like}\nstop: {{signal: TERM, grace: 60s}}\n")
    options = ("--program", "./node.yaml", "-o", "bug=ignores_sigterm")
    process = project.start("run", project.scenario(LONG), *options)
    run = wait_for_step(project, "sleep")
    process.send_signal(signal.SIGINT)
    wait_until(
        lambda: "signal 15 noted" in (run / "nodes/n1/1.log").read_text(),
        Deadline.after(180),
        "a node to get SIGTERM",
    )
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=180)
    assert process.returncode == 128 + signal.SIGINT
    wait_until_gone(run)


LOADED = """\
- load:
    start: w
    clients: 2
    mix: {put: 50, get: 50}
    keys: 2
    rate: 100
    minima: {total: 1000000}
"""
REFUSED = "- put: {at: any follower, key: k, value: v, expect: refused}\n"


@pytest.mark.parametrize(
    ("program", "before", "status"),
    [
        (("kvstore",), "", 2),
        (("broken", "-o", "bug=follower_refuses_but_stores"), REFUSED, 1),
    ],
    ids=["no violation", "a violation"],
)
def test_an_interrupted_load_is_unknown_unless_a_violation_was_observed(
    project, root, program, before, status
):
    steps = LOADED + before + "- sleep: {for: 60s, why: the test ends it}"
    scenario = project.scenario(steps, head="checks: [load_exercised]")
    folder, *options = program
    process = project.start(
        "run", scenario, "--program", root / "nodes" / folder / "node.yaml", *options
    )
    wait_for_step(project, "sleep")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=180)
    assert process.returncode == status, out + err
    assert "INVALID" not in out


def test_a_sigkill_of_kvsim_leaves_no_node_and_no_data(project):
    process = project.start("run", project.scenario(LONG))
    run = wait_for_step(project, "sleep")
    kill_group(process)
    wait_until_gone(run)
    # What was recorded until then can be read.
    assert events_of(run)[-1]["event"] == "step"


def test_a_full_disk_under_the_run_directory_ends_with_a_clear_verdict(project):
    scenario = project.scenario("- put: {at: leader, key: k, value: v}\n" * 200)
    # A limit of the file size stands for the disk; kvsim refuses so low a limit otherwise.
    kvsim = (
        "import runpy; from kvsim.process.inherited import LEAST; LEAST.clear(); "
        "runpy.run_module('kvsim', run_name='__main__', alter_sys=True)"
    )
    command = f'ulimit -f 24; exec {shlex.quote(sys.executable)} -c "{kvsim}" run {scenario}'
    run = subprocess.run(
        ["bash", "-c", command], cwd=project.folder, capture_output=True, text=True, timeout=90
    )
    assert run.returncode == 3, run.stdout + run.stderr
    assert "could not be recorded" in run.stderr
    assert "Traceback" not in run.stderr
    wait_until_gone(project.latest)
