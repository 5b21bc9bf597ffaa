"""The commands that change a cluster that is up: kill, start, restart, pause, resume, partition,
heal, promote; and top.
"""

from __future__ import annotations

import json
import signal

import pytest

from kvsim.process.identity import identify
from kvsim.waiting import Deadline, wait_until
from tests.leftovers import find


def states(project) -> dict[str, str]:
    nodes = json.loads(project.run("status", "--json").stdout)["nodes"]
    return {node["node"]: node["state"] for node in nodes}


def test_kill_and_start_again_on_the_same_data(project):
    project.run("up")
    assert project.run("client", "n1", "put", "k", "v").returncode == 0
    killed = project.run("kill", "leader")
    assert killed.returncode == 0 and "n1 is dead" in killed.stdout
    assert states(project) == {"n1": "down", "n2": "up", "n3": "up"}
    # Only nodes that are down are started.
    started = project.run("start", "each")
    assert started.returncode == 0 and started.stdout.startswith("n1 is ready")
    assert project.run("client", "n1", "get", "k").stdout == "v\n"


@pytest.mark.slow
def test_pause_prints_its_evidence_and_resume_waits_for_an_answer(project):
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
    after = {
        n["node"]: n["pid"] for n in json.loads(project.run("status", "--json").stdout)["nodes"]
    }
    assert before["n2"] != after["n2"] and before["n1"] == after["n1"]


def test_an_unknown_node_is_an_error_and_no_node_is_changed(project):
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


def test_promote_prints_what_every_node_reports_afterwards(project, root):
    up_replicated(project, root)
    done = project.run("promote", "n2")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "n2 promote: ok"), done.stderr
    assert "n2 reports leader" in done.stdout and "n1 reports follower" in done.stdout
    assert "one node can be promoted" in project.run("promote", "n1", "n3").stderr


def links_of(project) -> list[dict]:
    return json.loads(project.run("status", "--json").stdout)["links"]


@pytest.mark.slow
def test_a_partition_is_shown_with_evidence_until_it_is_healed(project, root):
    up_replicated(project, root, "--links")
    assert links_of(project) == []
    done = project.run("partition", "leader")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("partitioned: n1 | n2, n3\n") and "0 forwarded" in done.stdout
    took_effect = {link["link"]: link["took_effect"] for link in links_of(project)}
    assert took_effect == {"n1–n2": True, "n1–n3": True}
    put = project.run("client", "n1", "put", "k", "v")
    assert put.returncode == 2 and "may have happened" in put.stdout
    # This link is broken already.
    assert project.run("partition", "n1", "/", "n3").returncode == 4
    assert "n1–n3: everything passes again" in project.run("heal", "n1", "/", "n3").stdout
    assert [link["link"] for link in links_of(project)] == ["n1–n2"]
    assert project.run("heal").returncode == 0
    assert links_of(project) == []
    assert "nothing to heal" in project.run("heal").stdout


def test_a_restarted_follower_is_still_reached_through_its_proxy(project, root):
    up_replicated(project, root, "--links")
    assert project.run("promote", "n2").returncode == 0
    assert project.run("restart", "n3").returncode == 0
    done = project.run("partition", "n2", "/", "n1", "n3")
    assert done.returncode == 0 and "no traffic" not in done.stdout, done.stdout


def test_a_link_without_traffic_gives_no_evidence(project, root):
    up_replicated(project, root, "--links")
    done = project.run("partition", "n2", "/", "n3", "--within", "0.1")
    assert done.returncode == 2 and "no traffic" in done.stdout


def test_an_error_explains_how_links_can_be_broken(project, root):
    up_replicated(project, root)
    for command in (("partition", "n1"), ("heal",)):
        refused = project.run(*command)
        assert refused.returncode == 4 and "kvsim up --links" in refused.stderr


def daemon_of(project) -> int:
    return json.loads((project.folder / ".kvsim/state.json").read_text())["links"]["daemon"]["pid"]


def test_down_ends_the_proxies_and_removes_the_state(project, root):
    up_replicated(project, root, "--links")
    daemon = identify(daemon_of(project))
    assert project.run("down").returncode == 0
    assert not daemon.alive() and not (project.folder / ".kvsim").exists()


def test_proxies_that_have_ended_are_reported(project, root):
    up_replicated(project, root, "--links")
    daemon = identify(daemon_of(project))
    daemon.signal(signal.SIGKILL)
    wait_until(lambda: not daemon.alive(), Deadline.after(180), "the proxies to be dead")
    gone = project.run("partition", "n1")
    assert gone.returncode == 4 and "proxies of this cluster are gone" in gone.stderr
    assert project.run("down").returncode == 0
    assert not (project.folder / ".kvsim").exists()


def test_an_up_that_fails_ends_its_proxies(project):
    text = (project.folder / "cluster.yaml").read_text()
    project.write("cluster.yaml", text.replace("program:", "options: {fsync: sometimes}\nprogram:"))
    assert project.run("up", "--links").returncode == 1
    assert not (project.folder / ".kvsim").exists()
    assert not [found for found in find() if str(project.folder) in found.cmdline]


def test_an_attached_run_breaks_the_links_of_the_cluster_that_is_up(project, root):
    text = (project.folder / "cluster.yaml").read_text()
    project.write("cluster.yaml", f"links: proxied\n{text.replace('/node.yaml', '/majority.yaml')}")
    assert project.run("up").returncode == 0
    steps = "- fault: {partition: leader alone, do: [{sleep: {for: 1s, why: let it last}}]}"
    run = project.run(
        "run", "--attach", project.scenario(steps, head="checks: [faults_have_evidence]")
    )
    assert run.returncode == 0, run.stdout + run.stderr


MUTE = (
    "{program: mute, like: ROOT/nodes/kvstore/node.yaml, requests: {ping: PING, status: STATUS}, "
    'replies: {ping: {ok: "^PONG$"}, status: {ok: "^[{]"}}}'
)


def test_a_program_without_a_promote_request_is_an_error(project, root):
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
