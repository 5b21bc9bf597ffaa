"""`kvsim kill|start|restart|pause|resume|top` on a cluster that is up, as a user calls them."""

from __future__ import annotations

import json


def states(project) -> dict[str, str]:
    nodes = json.loads(project.run("status", "--json").stdout)["nodes"]
    return {node["node"]: node["state"] for node in nodes}


def test_kill_and_start_again_on_the_same_data(project):
    project.run("up")
    assert project.run("client", "n1", "put", "k", "v").returncode == 0
    killed = project.run("kill", "leader")
    assert killed.returncode == 0 and "n1 is dead" in killed.stdout
    assert states(project) == {"n1": "down", "n2": "up", "n3": "up"}
    started = project.run("start", "each")  # of those that are down
    assert started.returncode == 0 and started.stdout.startswith("n1 is ready")
    assert project.run("client", "n1", "get", "k").stdout == "v\n"


def test_pause_says_what_shows_it_and_resume_waits_for_an_answer(project):
    project.run("up")
    paused = project.run("pause", "each", "follower")
    assert paused.returncode == 0 and paused.stdout.count("every thread is stopped") == 2
    assert states(project)["n2"] != "up"
    assert "no answer" in project.run("top").stdout
    assert project.run("resume", "n2", "n3").returncode == 0
    assert set(states(project).values()) == {"up"}


def test_restart_gives_another_process(project):
    before = {n["node"]: n["pid"] for n in json.loads(project.run("up", "--json").stdout)["nodes"]}
    assert project.run("restart", "n2").returncode == 0
    after = {n["node"]: n["pid"] for n in json.loads(project.run("status", "--json").stdout)["nodes"]}
    assert before["n2"] != after["n2"] and before["n1"] == after["n1"]


def test_who_is_not_there_is_told_and_nothing_is_done(project):
    assert "kvsim up starts it" in project.run("kill", "n1").stderr
    project.run("up")
    wrong = project.run("kill", "n1", "n9")
    assert wrong.returncode == 4 and "n9" in wrong.stderr
    assert set(states(project).values()) == {"up"}
    project.run("kill", "n3")
    again = project.run("kill", "n3")
    assert again.returncode == 1 and "not running" in again.stdout


def test_top_once_shows_every_node(project):
    project.run("up")
    lines = project.run("top", "--once").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["node", "n1", "n2", "n3"]
    assert "listening on" in lines[1] and "MiB" in lines[1]
