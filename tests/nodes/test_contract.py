"""The contract of the store, with real processes: roles, refusals, log lines, restarts, client."""

import json
import signal
import subprocess

import pytest
from kvstore import build as builder
from store_process import PYTHON, WAIT_S, free_port


def test_a_leader_serves_and_logs_its_role(new_store):
    leader = new_store()
    assert leader.output.splitlines()[0] == f"[node] starting as LEADER on port {leader.port}"
    assert f"[node] listening on 127.0.0.1:{leader.port} pid {leader.process.pid}" in leader.output
    with leader.client() as ask:
        assert ask("GET city") == "NOT_FOUND"
        assert ask("PUT city Paris, the one in France") == "OK"
        assert ask("get city") == "VALUE Paris, the one in France"
        assert ask("DELETE city") == "OK"
        assert ask("DELETE city") == "NOT_FOUND"
        assert ask("PING") == "PONG"


def test_compare_and_set_changes_what_matches_and_nothing_else(new_store):
    with new_store().client() as ask:
        assert ask("CAS city 5 Paris Rome") == "NOT_FOUND"
        assert ask("PUT city Paris, France") == "OK"
        assert ask("CAS city 5 Paris Rome") == "MISMATCH Paris, France"
        assert ask("GET city") == "VALUE Paris, France"
        assert ask("CAS city 13 Paris, France Rome") == "OK"
        assert ask("GET city") == "VALUE Rome"
        assert json.loads(ask("STATUS"))["applied"] == 2


def state(status):
    return [status[name] for name in ("role", "keys", "applied", "digest")]


@pytest.mark.parametrize(
    ("args", "refusal"),
    [
        ([], "ERR read-only: this node is a follower"),
        (["--leader=9001"], "ERR read-only, leader is on port 9001"),
        (["--leader", "127.0.0.1:9001"], "ERR read-only, leader is on port 9001"),
        (["--leader=192.0.2.1:9001"], "ERR read-only, leader is on 192.0.2.1:9001"),
    ],
)
def test_a_follower_refuses_writes_stores_nothing_and_logs_the_client(new_store, args, refusal):
    follower = new_store(role="follower", args=args)
    assert follower.output.splitlines()[0] == f"[node] starting as FOLLOWER on port {follower.port}"
    with follower.client() as ask:
        before = state(json.loads(ask("STATUS")))
        assert ask("PUT city Rome") == refusal
        assert ask("DELETE city") == refusal
        assert ask("CAS city 4 Rome Oslo") == refusal
        assert ask("GET city") == "NOT_FOUND"
        assert state(json.loads(ask("STATUS"))) == before
        peer = "{}:{}".format(*ask.sock.getsockname())
    assert f"[node] refused PUT city from {peer}: {refusal[4:]}" in follower.wait_for_output(
        "refused DELETE"
    )


def test_status_is_one_line_of_json(new_store):
    follower = new_store(role="follower", args=["--leader=9001"])
    status = json.loads(follower.ask("STATUS"))
    assert status["role"] == "follower"
    assert status["leader"] == "127.0.0.1:9001"
    assert status["pid"] == follower.process.pid
    assert status["keys"] == status["applied"] == 0


def digest(store):
    return json.loads(store.ask("STATUS"))["digest"]


def test_equal_states_have_equal_digests_after_different_histories(new_store):
    first, second = new_store("n1"), new_store("n2")
    for request in ("PUT a 1", "PUT b 2"):
        first.ask(request)
    for request in ("PUT b 0", "PUT x 9", "PUT a 1", "DELETE x", "PUT b 2"):
        second.ask(request)
    assert digest(first) == digest(second)
    second.ask("PUT b 3")
    assert digest(first) != digest(second)


def test_sigterm_ends_it_cleanly_and_keeps_the_data(new_store):
    store = new_store()
    store.ask("PUT k v")
    status, output = store.stop()
    assert status == 0
    assert output.splitlines()[-1] == "[node] stopping: SIGTERM"
    assert new_store().ask("GET k") == "VALUE v"


def test_acknowledged_writes_survive_a_kill(new_store):
    store = new_store()
    with store.client() as ask:
        for number in range(200):
            assert ask(f"PUT k{number} {number}") == "OK"
        assert ask("DELETE k7") == "OK"
    store.stop(signal.SIGKILL)
    with new_store().client() as ask:
        assert ask("GET k199") == "VALUE 199"
        assert ask("GET k7") == "NOT_FOUND"
        assert json.loads(ask("STATUS"))["keys"] == 199


def test_the_built_programs_run_as_the_readme_shows(tmp_path, new_store):
    kvstore, kv_client = builder.build(tmp_path / "build")
    ports = free_port(), free_port()
    nodes = [
        subprocess.Popen(
            [kvstore, f"--port={port}", f"--data-dir={tmp_path / f'node{port}'}", f"--role={role}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for port, role in zip(ports, ("leader", "follower"), strict=True)
    ]

    def client(port, *words):
        command = [kv_client, "--port", str(port), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT_S)
        return done.stdout.strip(), done.returncode

    try:
        for node in nodes:
            assert "starting as" in node.stdout.readline()
            assert "listening" in node.stdout.readline()
        assert client(ports[0], "put", "testkey", "testvalue") == ("OK", 0)
        assert client(ports[0], "get", "testkey") == ("testvalue", 0)
        assert client(ports[1], "get", "testkey") == ("NOT_FOUND", 0)
        refused = ("ERR read-only: this node is a follower", 1)
        assert client(ports[1], "put", "testkey", "x") == refused
        assert client(ports[1], "delete", "testkey") == refused
        assert client(ports[0], "cas", "testkey", "testvalue", "two words") == ("OK", 0)
        assert client(ports[0], "cas", "testkey", "testvalue", "other") == ("MISMATCH two words", 0)
        assert client(ports[0], "get", "testkey") == ("two words", 0)
        assert client(ports[0], "ping") == ("PONG", 0)
    finally:
        for node in nodes:
            node.terminate()
            node.communicate(timeout=WAIT_S)
    assert [node.returncode for node in nodes] == [0, 0]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["put", "k"],
        ["get"],
        ["frobnicate"],
        ["put", "a b", "c"],
        ["put", "k", "two\nlines"],
        ["get", ""],
        ["cas", "k", "v"],
    ],
)
def test_the_client_explains_a_wrong_command_line(words):
    done = subprocess.run(
        [PYTHON, "-I", "-S", builder.PROGRAMS["kv_client"], "--port", "1", *words],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("kv_client: ")
    assert len(done.stderr.splitlines()) == 1


def test_the_client_distinguishes_an_unused_port_from_a_refusal():
    done = subprocess.run(
        [PYTHON, "-I", "-S", builder.PROGRAMS["kv_client"], f"--port={free_port()}", "ping"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3
    assert "nothing listens there" in done.stderr
