"""Stop sequences: signals and commands, and what is recorded of them."""

from __future__ import annotations

import signal

import pytest

from tests.launcher.conftest import BASE

PING = "ready: {port: owned, ping: true, within: 5s}\n"
KILL_BY_PID_FILE = "command: [sh, -c, 'kill -TERM $(cat {data_dir}/pid)']"


def test_a_stop_command_ends_a_node(build_cluster, tmp_path):
    cluster = build_cluster(PING + f"stop: {{{KILL_BY_PID_FILE}, grace: 30s}}\n")
    cluster.launcher.start_all()
    pid = cluster.launcher.nodes["n1"].started_process.pid
    (tmp_path / "n1" / "data" / "pid").write_text(str(pid))
    cluster.launcher.stop("n1")
    (end,) = cluster.of_kind("exit")
    assert end["description"] == "exited with status 0"
    assert cluster.of_kind("stop_command_failed") == []
    assert (tmp_path / "n1" / "stop.log").exists()
    cluster.launcher.kill_all()


def test_a_stop_command_that_fails_is_recorded_and_followed_by_a_kill(build_cluster):
    cluster = build_cluster(PING + f"stop: {{{KILL_BY_PID_FILE}, grace: 100ms}}\n")
    cluster.launcher.start_all()
    cluster.launcher.stop("n2")
    (end,) = cluster.of_kind("exit")
    assert end["description"] == "was killed by SIGKILL"
    (failure,) = cluster.of_kind("stop_command_failed")
    assert (failure["node"], failure["started"]) == ("n2", True)
    cluster.launcher.kill_all()


NOT_STARTABLE = """\
stop:
  steps:
    - {command: [./stopper, "{port}"], wait: 60s}
    - {signal: TERM, wait: 60s}
"""


def test_a_stop_command_that_cannot_be_started_is_recorded_and_the_next_action_follows(
    build_cluster, tmp_path
):
    # A script without its interpreter: `lint` sees a file, and the system cannot start it.
    (tmp_path / "stopper").write_text("#!/no/such/interpreter\n")
    (tmp_path / "stopper").chmod(0o755)
    cluster = build_cluster(PING + NOT_STARTABLE)
    cluster.launcher.start_all()
    cluster.launcher.stop_all()
    failures = cluster.of_kind("stop_command_failed")
    assert [failure["node"] for failure in failures] == ["n1", "n2"]
    for failure in failures:
        assert not failure["started"]
        assert "cannot start" in failure["message"] and "stopper" in failure["message"]
    for stopped in cluster.of_kind("stopped"):
        assert not stopped["killed"]
        # The next action follows at once: nothing waits for the 60 s of the command.
        assert stopped["took_s"] < 60
    signals = [event["signal"] for event in cluster.of_kind("signal")]
    assert signals == [signal.SIGTERM.name] * 2


@pytest.mark.parametrize(
    ("order", "stopped"), [("followers_first", ["n2", "n1"]), ("leader_first", ["n1", "n2"])]
)
def test_nodes_stop_in_the_programs_order(build_cluster, order, stopped):
    cluster = build_cluster(PING + f"stop: {{order: {order}}}\n")
    cluster.launcher.start_all()
    cluster.launcher.stop_all()
    assert cluster.nodes_of("stopped") == stopped
    assert cluster.nodes_of("exit") == stopped


def test_a_node_that_leads_now_counts_as_the_leader(build_cluster):
    """n2 says that it leads, whatever the cluster file says."""
    status = 'status: {speak: command, send: [sh, -c, "test {id} = 2"]}'
    base = BASE.replace("requests: {", f"requests: {{{status}, ").replace(
        "replies: {", "replies: {status: {ok: {status: [0, 1]}}, "
    )
    more = "status: {role: status, words: {0: leader, 1: follower}}\nstop: {order: leader_first}\n"
    cluster = build_cluster(PING + more, base)
    cluster.launcher.start_all()
    cluster.launcher.stop_all()
    assert cluster.nodes_of("stopped") == ["n2", "n1"]
