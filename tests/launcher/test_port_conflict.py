"""A log that says "address already in use": which process is named, and whose mistake it is."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path

import pytest

from kvsim.errors import NodeFailed
from kvsim.launcher import isolated_start, port_conflict
from kvsim.launcher.launcher import PortLost
from kvsim.process.sockets import PortHolder

# Binds the port of its second argument, tells what failed, and then its own.
STORE = """
import socket, sys, time
own, second, words = int(sys.argv[1]), int(sys.argv[2], 0), sys.argv[3]
try:
    held = socket.create_server(("127.0.0.1", second))
    first = socket.create_server(("127.0.0.1", own))
except OSError:
    sys.exit(words)
print("serving", flush=True)
time.sleep(60)
"""


@pytest.fixture
def build(build_cluster, tmp_path: Path):
    """`build(second, words)`: both nodes bind the port `second` too."""

    def make(second: str, words: str):
        path = tmp_path / "two_ports.py"
        path.write_text(STORE)
        start = json.dumps([sys.executable, "-I", "-S", str(path), "{port}", second, words])
        return build_cluster(
            f"program: two_ports\nstart: {start}\nready: {{log: serving, within: 10s}}\n"
            "requests: {get: 'GET {key}'}\nreplies: {get: {value: '(?P<value>.*)'}}\n",
            base="",
        )

    return make


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def failure(cluster) -> NodeFailed:
    with pytest.raises(NodeFailed) as caught:
        cluster.launcher.start_all()
    return caught.value


@pytest.mark.parametrize("words", ["bind {port}: Address already in use", "EADDRINUSE"])
def test_a_port_that_another_node_took_is_the_stores_mistake_and_names_it(build, words):
    port = free_port()
    cluster = build(str(port), words.format(port=port))
    error = failure(cluster)
    assert not isinstance(error, PortLost)
    pid = cluster.launcher.nodes["n1"].started_process.pid
    assert f"node n1 (pid {pid})" in str(error)
    assert str(port) in str(error).splitlines()[-1]
    assert cluster.of_kind("start_failed")[0]["why"] == "died"


def test_a_port_that_a_stranger_holds_is_not_the_stores_mistake(build):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        cluster = build(str(port), f"cannot listen on :{port}: address already in use")
        error = failure(cluster)
    assert isinstance(error, PortLost)
    assert f"its port {port} is in use by pid " in str(error)
    assert cluster.of_kind("start_failed")[0]["why"] == "port"


def test_a_stranger_on_a_port_that_only_the_command_names_is_found(build):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        error = failure(build(str(port), "bind: Address already in use"))
    assert isinstance(error, PortLost)
    assert f"its port {port} is in use by pid " in str(error)


WITHOUT_ITS_PORT = "OSError: [Errno 98] Address already in use"


@pytest.fixture
def knows_its_port(build):
    """`knows_its_port(port)`: the port stands neither in the command nor in the log."""

    def make(port: int):
        return build(f"{port:#x}", WITHOUT_ITS_PORT)

    return make


def test_a_stranger_on_a_port_that_only_the_program_knows_is_found(knows_its_port):
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        cluster = knows_its_port(port)
        error = failure(cluster)
    assert isinstance(error, PortLost)
    assert f"its port {port} is in use by pid {os.getpid()}" in str(error)
    assert cluster.of_kind("start_failed")[0]["why"] == "port"
    # What the start that was only to explain left behind: a log, no data.
    assert not (cluster.launcher.nodes["n1"].folder / "alone" / "data").exists()


def test_without_empty_networks_all_strangers_are_named(knows_its_port, monkeypatch):
    monkeypatch.setattr(isolated_start, "start_isolated", lambda *_: None)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        monkeypatch.setattr(
            port_conflict, "ports_in_use", lambda: {port: PortHolder(1, "init", "/sbin/init")}
        )
        error = failure(knows_its_port(port))
    assert isinstance(error, PortLost)
    assert f"port {port} of pid 1 (/sbin/init)" in str(error)


def test_a_port_that_no_process_holds_is_the_stores_mistake(build):
    error = failure(build("{port}", "OSError: [Errno 98] Address already in use"))
    assert not isinstance(error, PortLost)
    assert "binds one of its ports twice" in str(error)


def test_a_log_that_speaks_of_no_address_names_no_holder(build):
    error = failure(build("{port}", "out of memory"))
    assert "listens on" not in str(error)


def test_a_port_of_the_cluster_that_a_node_took_before_is_named(build):
    """The leader takes the follower's port: it derived it from its own."""
    cluster = build("{nodes.n2.port}", "no")
    error = failure(cluster)
    assert not isinstance(error, PortLost)
    assert "node n2 cannot start: port" in str(error)
    assert "in use by node n1" in str(error)
    assert "which kvsim did not give it" in str(error)
