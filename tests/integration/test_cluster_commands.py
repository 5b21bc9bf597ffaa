"""`kvsim up`, `status`, `logs`, `client`, `down`: a cluster that stays up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from kvsim.folders import find_paths
from kvsim.process.identity import identify as identity_of
from kvsim.waiting import Deadline, wait_until
from tests.leftovers import can_listen


def nodes(project) -> dict[str, dict]:
    return {row["node"]: row for row in json.loads(project.run("status", "--json").stdout)["nodes"]}


def test_up_prints_the_nodes_and_down_leaves_no_process(project):
    up = project.run("up")
    assert up.returncode == 0, up.stderr
    head, *rows = up.stdout.splitlines()
    assert head.split() == ["node", "role", "state", "pid", "address", "data", "log"]
    assert [row.split()[:3] for row in rows] == [
        ["n1", "leader", "up"],
        ["n2", "follower", "up"],
        ["n3", "follower", "up"],
    ]
    down = project.run("down")
    assert down.returncode == 0
    assert [line.split()[0] for line in down.stdout.splitlines()] == ["n1", "n2", "n3"]
    assert not (project.folder / ".kvsim").exists()
    assert all(can_listen("127.0.0.1", port) for port in project.ports)


def test_a_second_up_reports_that_it_is_up_and_starts_nothing(project):
    project.run("up")
    before = {name: row["pid"] for name, row in nodes(project).items()}
    again = project.run("up")
    assert again.returncode == 0
    assert "is up already" in again.stderr
    assert {name: row["pid"] for name, row in nodes(project).items()} == before


def test_of_two_simultaneous_ups_only_one_succeeds(project):
    both = [project.start("up"), project.start("up")]
    outputs = [process.communicate(timeout=180) for process in both]
    codes = sorted(process.returncode for process in both)
    assert codes in ([0, 4], [0, 0]), outputs
    assert any("is changing this cluster" in err or "is up already" in err for _, err in outputs)
    assert [row["state"] for row in nodes(project).values()] == ["up", "up", "up"]


# kvsim is killed when it is about to start the first process of the cluster.
KILLED_UP = """
import os, signal
from kvsim.cli import main
from kvsim.network import proxy_handle

def kill_itself(*_):
    os.kill(os.getpid(), signal.SIGKILL)

proxy_handle.NewProxyDaemon = kill_itself
main(["up", "--links"])
"""


@pytest.mark.parametrize("kept", [False, True], ids=["no data before", "data kept by down --keep"])
def test_an_up_that_is_killed_before_its_first_process_leaves_nothing(project, kept):
    state = project.folder / ".kvsim"
    if kept:
        project.run("up")
        project.run("down", "--keep")
    before = find_paths(state, "**/*")
    killed = subprocess.run([sys.executable, "-c", KILLED_UP], cwd=project.folder, check=False)
    assert killed.returncode == -signal.SIGKILL

    def is_as_before() -> bool:
        return find_paths(state, "**/*") == before and state.exists() == kept

    wait_until(is_as_before, Deadline.after(180), "the watchdog to clean up")


def test_down_removes_what_a_killed_command_left_without_a_state(project):
    state = project.folder / ".kvsim"
    (state / "control").mkdir(parents=True)
    assert project.run("down").stdout == "no cluster is up\n"
    assert not state.exists()


def test_status_is_right_after_a_node_was_killed(project):
    project.run("up")
    pid = nodes(project)["n2"]["pid"]
    victim = identity_of(pid)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not victim.alive(), Deadline.after(180), "the node to die")
    status = project.run("status")
    assert status.returncode == 1
    assert [line.split()[2] for line in status.stdout.splitlines()[1:]] == ["up", "down", "up"]
    down = project.run("down")
    assert down.returncode == 0
    assert "n2 was down already" in down.stdout


def test_down_is_safe_to_repeat_and_status_explains_what_to_do(project):
    assert project.run("down").stdout == "no cluster is up\n"
    status = project.run("status")
    assert status.returncode == 4
    assert "kvsim up starts it" in status.stderr


def test_a_port_in_use_is_named_with_its_holder_and_nothing_is_started(project):
    import socket

    with socket.create_server(("127.0.0.1", project.ports[1])):
        up = project.run("up")
    assert up.returncode == 4
    assert f"port {project.ports[1]} (n2) is in use by pid {os.getpid()}" in up.stderr
    assert "Traceback" not in up.stderr
    assert project.run("status").returncode == 4


def test_an_up_that_is_killed_leaves_no_node_and_no_state(project):
    never_ready = (
        "{program: slow, start: [sleep, '60'], ready: {log: never, within: 60s}, speak: lines}"
    )
    ports = project.ports
    cluster = project.write(
        "slow.yaml",
        f"cluster: slow\nprogram: {never_ready}\nnodes:\n  n1: {{role: leader, port: "
        f"{ports[0]}}}\n",
    )
    up = project.start("up", "--cluster", cluster)
    state = project.folder / ".kvsim" / "state.json"
    wait_until(
        lambda: state.exists() and '"pid"' in state.read_text(),
        Deadline.after(180),
        "a node that is started",
    )
    node = identity_of(json.loads(state.read_text())["nodes"]["n1"]["process"]["pid"])
    up.kill()
    up.communicate(timeout=180)
    wait_until(lambda: not state.parent.exists(), Deadline.after(180), "the state to be removed")
    wait_until(
        lambda: not node.alive(), Deadline.after(180), "the node, which was killed, to be gone"
    )


def test_client_asks_nodes_by_name_and_its_exit_status_is_the_outcome(project):
    project.run("up")
    put = project.run("client", "n1", "put", "k", "two words")
    assert (put.returncode, put.stdout) == (0, "OK\n")
    assert project.run("client", "leader", "get", "k").stdout == "two words\n"
    refused = project.run("client", "n2", "put", "k", "v")
    assert refused.returncode == 1
    assert "read-only" in refused.stdout
    by_port = project.run("client", "--port", project.ports[0], "get", "k")
    assert by_port.stdout == "two words\n"
    unknown = project.run("client", "n9", "get", "k")
    assert unknown.returncode == 4
    assert "n1, n2, n3" in unknown.stderr


def test_client_distinguishes_no_answer_from_a_refusal(project):
    project.run("up")
    pid = nodes(project)["n1"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    asked = project.run("client", "--timeout", "0.3", "n1", "put", "k", "v")
    os.kill(pid, signal.SIGCONT)
    assert asked.returncode == 2
    assert "unknown (timeout)" in asked.stdout


def test_logs_name_each_line_s_node(project):
    project.run("up")
    logs = project.run("logs").stdout.splitlines()
    assert any(line.startswith("n1") and "starting as LEADER" in line for line in logs)
    assert sum("starting as FOLLOWER" in line for line in logs) == 2
    assert all(line.startswith("n2") for line in project.run("logs", "n2").stdout.splitlines())


def test_a_scenario_runs_on_the_cluster_that_is_up_and_leaves_it_up(project):
    project.run("up")
    before = {name: row["pid"] for name, row in nodes(project).items()}
    run = project.run("run", "--attach", "scenarios/roles.yaml")
    assert run.returncode == 0, run.stdout
    assert {name: row["pid"] for name, row in nodes(project).items()} == before
    assert project.run("verify", "runs/latest").returncode == 0


def test_a_node_restarted_by_an_attached_run_stays_up_after_it(project):
    project.run("up")
    steps = """
- restart: n2
- put: {at: each follower, key: k, value: v, expect: {refused: read_only}}
"""
    run = project.run("run", "--attach", project.scenario(steps))
    assert run.returncode == 0, run.stdout
    assert [row["state"] for row in nodes(project).values()] == ["up", "up", "up"]


def test_data_survives_down_and_up_only_with_keep(project):
    project.run("up")
    project.run("client", "n1", "put", "k", "v")
    project.run("down", "--keep")
    project.run("up")
    assert project.run("client", "n1", "get", "k").stdout == "v\n"
    project.run("down")
    project.run("up")
    assert project.run("client", "n1", "get", "k").returncode == 1


def test_an_unknown_request_is_reported_with_the_closest_known_request(project):
    project.run("up")
    done = project.run("client", "n1", "pt", "k", "v")
    assert done.returncode == 4
    assert "no request `pt`; did you mean `put`?" in done.stderr
