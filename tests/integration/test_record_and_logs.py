"""`kvsim record`, `kvsim report` and `kvsim logs` of a run, as a user calls them."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

COMMANDS = """put leader k "a: {b}"
put each follower k other
get each k
kill n3
get n3 k
start n3
frob
get leader k
end
"""


PARTITION_COMMANDS = """put leader a one
partition leader
promote n2
put n2 a two
get n3 a
partition n1 / n3
heal
put n1 a three
get each a
promote n3
put leader a four
"""


def record(project, commands: str = COMMANDS) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kvsim", "record", "scenarios/recorded.yaml"]
    return subprocess.run(
        command,
        cwd=project.folder,
        input=commands,
        capture_output=True,
        text=True,
        timeout=180,
        env={**os.environ},
    )


def test_a_session_becomes_a_scenario_that_passes(project):
    done = record(project)
    assert done.returncode == 0, done.stdout + done.stderr
    text = (project.folder / "scenarios/recorded.yaml").read_text()
    assert (
        "- put: {at: each follower, key: k, value: other, expect: {refused: read_only, names: "
        "leader}}" in text
    )
    assert "- get: {at: n3, key: k, expect: unreachable}" in text
    assert "`frob` is no command" in done.stderr
    run = project.run("run", "scenarios/recorded.yaml")
    assert run.returncode == 0, run.stdout
    # `record` does not overwrite a file.
    assert project.run("record", "scenarios/recorded.yaml").returncode == 4


@pytest.mark.slow
def test_a_partition_and_a_promotion_become_a_fault_and_its_steps(project, root):
    text = (project.folder / "cluster.yaml").read_text()
    project.write("cluster.yaml", "links: proxied\n" + text.replace("/node.yaml", "/majority.yaml"))
    done = record(project, PARTITION_COMMANDS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (
        "partitioned: n1 | n2, n3" in done.stdout
        and "n1–n3 is partitioned already; heal first" in done.stderr
    )
    recorded = (project.folder / "scenarios/recorded.yaml").read_text()
    assert "      blackhole: {from: [n1], to: [n2, n3]}\n" in recorded
    assert "        - promote: {at: n2, expect: ok}\n" in recorded
    assert (
        "\n  - put: {at: n1, key: a, value: three, expect: {refused: read_only, names: leader}}\n"
        in recorded
    )
    run = project.run("run", "scenarios/recorded.yaml")
    assert run.returncode == 0, run.stdout


def test_links_that_cannot_be_broken_are_an_error(project):
    done = record(project, "put leader a one\npartition n1\nheal\n")
    assert done.returncode == 0 and "links: proxied" in done.stderr
    assert "nothing to heal" in done.stdout


def test_a_timeline_is_written_again(project):
    assert project.run("run", "scenarios/roles.yaml").returncode == 0
    timeline = project.latest / "report.html"
    timeline.unlink()
    assert project.run("report", "runs/latest").stdout.strip() == str(timeline)
    assert timeline.stat().st_size > 20_000


def test_logs_of_a_run_are_in_the_order_in_which_they_arrived(project):
    writes = (("n2", "v"), ("n3", "v"), ("n2", "w"))
    steps = "\n".join(
        f"- put: {{at: {node}, key: k, value: {value}, expect: refused}}" for node, value in writes
    )
    assert project.run("run", project.scenario(steps)).returncode == 0
    lines = project.run("logs", "--run", "runs/latest").stdout.splitlines()
    assert [line.split()[0] for line in lines if "refused PUT" in line] == ["n2", "n3", "n2"]
    columns = project.run("logs", "--run", "runs/latest", "--columns").stdout.splitlines()
    starts = {len(line) - len(line.lstrip()) for line in columns}
    assert len(starts) == 3
