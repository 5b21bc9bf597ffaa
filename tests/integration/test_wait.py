"""`wait`: until every readiness probe of the program holds, and until the target is the leader."""

from __future__ import annotations

# The command succeeds once: when the node starts, and not when a scenario waits for it again.
READY_ONCE = (
    "{program: once, like: ROOT/nodes/kvstore/node.yaml, ready: {ping: true, command: [sh, -c, "
    "'test ! -e {data_dir}/once && touch {data_dir}/once']}}"
)


def test_a_node_is_ready_when_every_probe_holds(project, root):
    steps = "- wait: {at: n1, until: ready, within: 5s}"
    assert project.run("run", project.scenario(steps)).returncode == 0


def test_a_node_that_answers_is_not_ready_when_another_probe_fails(project, root):
    text = (project.folder / "cluster.yaml").read_text()
    program = READY_ONCE.replace("ROOT", str(root))
    project.write("cluster.yaml", text.replace(f"{root}/nodes/kvstore/node.yaml", program))
    steps = """
- wait: {at: n1, until: serving, within: 5s}
- wait: {at: n1, until: ready, within: 300ms}
"""
    run = project.run("run", project.scenario(steps))
    assert run.returncode == 1, run.stdout + run.stderr
    assert "waited 0.3s for n1 to be ready; last observed: n1: `sh -c" in run.stdout


def test_a_node_that_is_down_is_not_ready(project):
    steps = "- fault: {kill: n2, do: [wait: {at: n2, until: ready, within: 300ms}]}"
    run = project.run("run", project.scenario(steps))
    assert run.returncode == 4
    assert "wait: n2 is down here (line 6), and nothing starts it" in run.stderr


def test_the_target_must_be_the_leader(project):
    assert (
        project.run(
            "run", project.scenario("- wait: {at: n1, until: leader, within: 5s}")
        ).returncode
        == 0
    )
    run = project.run("run", project.scenario("- wait: {at: n2, until: leader, within: 300ms}"))
    assert run.returncode == 1
    assert "waited 0.3s for n2 to be leader; last observed: n1 reports leader" in run.stdout
