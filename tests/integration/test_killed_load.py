"""A load process that is killed: the run proves nothing more, and what it recorded is judged."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest

from kvsim.process import procfs

STEPS = """
- load: {start: w, clients: 4, at: leader, mix: {get: 50, put: 50}, keys: 4, rate: 400}
- sleep: {for: 4s, why: its process is killed meanwhile}
- load: {stop: w}
"""
BUG = "bug=leader_acknowledges_without_storing"
BROKEN = ["--program", "ROOT/nodes/broken/node.yaml", "-o", BUG]


def kill_load_of(pid: int) -> None:
    (load,) = (
        entry.pid
        for entry in procfs.table().values()
        if entry.ppid == pid and "kvsim.workload" in procfs.cmdline(entry.pid)
    )
    os.kill(load, signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.parametrize(("program", "verdict"), [([], "invalid"), (BROKEN, "fail")])
def test_what_it_recorded_is_judged(project, root, program, verdict):
    project.scenario(STEPS)
    words = [word.replace("ROOT", str(root)) for word in program]
    process = project.start("run", "scenarios/mine.yaml", *words)
    project.wait_for_journal('"event":"load_made"', times=3)
    kill_load_of(process.pid)
    out, err = process.communicate(timeout=180)
    proof = json.loads((project.latest / "proof.json").read_text())
    assert proof["verdict"] == verdict, out + err
    assert "load w did not finish: its process ended with status -9" in proof["ended"]
    assert [path.name for path in (project.latest / "loads").iterdir()] == ["w.history.growing"]
    checked = project.run("check", "runs/latest").stdout
    assert re.search(r"[1-9]\d* operations? judged", checked)
    assert project.run("verify", "runs/latest").returncode == {"invalid": 3, "fail": 1}[verdict]
