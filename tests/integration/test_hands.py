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


def up_replicated(project, root, *more: str) -> None:
    done = project.run("up", "--program", f"{root}/nodes/kvstore/majority.yaml", *more)
    assert done.returncode == 0, done.stderr


def test_promote_says_what_every_node_says_afterwards(project, root):
    up_replicated(project, root)
    done = project.run("promote", "n2")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "n2 promote: ok"), done.stderr
    assert "n2 says leader" in done.stdout and "n1 says follower" in done.stdout
    assert "one node can be promoted" in project.run("promote", "n1", "n3").stderr


MUTE = (
    "{program: mute, like: ROOT/nodes/kvstore/node.yaml, requests: {ping: PING, status: STATUS}, "
    'replies: {ping: {ok: "^PONG$"}, status: {ok: "^[{]"}}}'
)


def test_a_program_that_cannot_promote_is_told_where_to_say_how(project, root):
    text = (project.folder / "cluster.yaml").read_text()
    mute = MUTE.replace("ROOT", str(root))
    project.write("cluster.yaml", text.replace(f"{root}/nodes/kvstore/node.yaml", mute))
    assert project.run("up").returncode == 0
    refused = project.run("promote", "n2")
    assert refused.returncode == 4 and "no request `promote`" in refused.stderr


def test_top_once_shows_every_node(project):
    project.run("up")
    lines = project.run("top", "--once").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["node", "n1", "n2", "n3"]
    assert "listening on" in lines[1] and "MiB" in lines[1]
