"""Processes that left their node's group, session and environment are found and ended."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from kvsim.process.identity import identify

STORE = """
import argparse, os, signal, socket, sys
parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int)
parser.add_argument("--trace")
options = parser.parse_args()
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("127.0.0.1", options.port))
# Its write end closes when the process is hidden: until then the node does not listen.
hidden, hiding = os.pipe()
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    keep = {"log": {1}, "folder": set(), "file": set(), "socket": {server.fileno()}, "none": set()}
    if options.trace == "file":
        keep["file"] = {os.open("mine", os.O_WRONLY | os.O_CREAT)}
    for fd in keep[options.trace]:
        os.set_inheritable(fd, True)
    for fd in set(range(20)) - keep[options.trace] - {hiding}:
        try:
            os.close(fd)
        except OSError:
            pass
    if options.trace != "folder":
        os.chdir("/")
    os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", "import time; time.sleep(99)"], {})
os.close(hiding)
os.read(hidden, 1)
server.listen()
server.settimeout(0.05)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
while True:
    try:
        client, _ = server.accept()
    except TimeoutError:
        continue
    client.close()
"""
NODE = """\
program: hides
start: ["{{python}}", -S, "{{program_dir}}/store.py", "--port={{port}}", "--trace={trace}"]
speak: lines
requests: {{put: "PUT {{key}} {{value}}"}}
"""
SCENARIO = """\
scenario: hides
title: a node hides a process
cluster: cluster.yaml
steps:
  - sleep: {for: 10ms, why: it runs}
checks: [no_leftovers]
"""
# How the process can still be recognised → what the proof says of it.
TRACES = {
    "log": "still wrote into its log",
    "folder": "still used its files",
    "file": "still used its files",
    "socket": "still had the port open",
    "none": "its only trace is its descent, from n1",
}


@pytest.mark.parametrize("trace", TRACES)
def test_a_hidden_process_is_found_and_ended(tmp_path, trace):
    (tmp_path / "store.py").write_text(STORE)
    (tmp_path / "node.yaml").write_text(NODE.format(trace=trace))
    (tmp_path / "s.yaml").write_text(SCENARIO)
    (tmp_path / "cluster.yaml").write_text(
        "cluster: c\nprogram: node.yaml\nnodes: {n1: {role: leader, port: 20101}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "kvsim", "run", "s.yaml"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    record = (tmp_path / "runs/latest/history.jsonl").read_text().splitlines()
    (stopped,) = (event for event in map(json.loads, record) if event["event"] == "stopped")
    (leftover,) = stopped["leftovers"]
    assert TRACES[trace] in leftover
    found = identify(int(leftover.split()[1]))
    assert found is None or not found.alive()
