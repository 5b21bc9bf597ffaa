"""Starting a program as its node.yaml says: order, init, files, probes, logs, daemons."""

from __future__ import annotations

import os
import pwd
import shutil

import pytest

from kvsim.errors import NodeFailed

PING = "ready: {port: owned, ping: true, within: 5s}\n"


@pytest.mark.parametrize(
    ("order", "ready_in"),
    [("leader_first", ["n1", "n2"]), ("followers_first", ["n2", "n1"])],
)
def test_nodes_start_in_the_programs_order(stage, order, ready_in):
    made = stage(PING + f"order: {order}\n")
    made.launcher.start_all()
    assert made.order("ready") == ready_in
    assert made.order("spawn") == ready_in


def test_an_init_that_needs_the_leader_waits_for_it_even_when_all_start_together(stage, tmp_path):
    command = (
        '["{python}", -c, "import socket; socket.create_connection((chr(49)+\'27.0.0.1\', {leader.port}))"]'
    )
    made = stage(PING + f"order: together\ninit: [{{run: {command}, roles: follower, needs: leader}}]\n")
    made.launcher.start_all()
    assert made.order("ready") == ["n1", "n2"]


def test_init_and_after_start_run_once_for_a_data_directory(stage, tmp_path):
    made = stage(
        PING
        + 'init: [[sh, -c, "echo x >> {data_dir}/init"]]\n'
        + 'after_start: [{run: [sh, -c, "echo x >> {data_dir}/after"], roles: leader}]\n'
    )
    made.launcher.start_all()
    made.launcher.kill("n1")
    made.launcher.start("n1")
    data = tmp_path / "n1" / "data"
    assert (data / "init").read_text() == "x\n"
    assert (data / "after").read_text() == "x\n"
    assert not (tmp_path / "n2" / "data" / "after").exists()


def test_a_failing_init_names_its_command_status_and_last_lines(stage):
    made = stage(PING + 'init: [[sh, -c, "echo no disk; exit 9"]]\n')
    with pytest.raises(NodeFailed, match=r"(?s)init step `.*exit 9.*exited with status 9.*no disk"):
        made.launcher.start_all()


def test_an_init_that_hangs_is_ended_in_its_time(stage):
    made = stage(PING + "init: [{run: [sleep, '60'], within: 200ms}]\n")
    with pytest.raises(NodeFailed, match=r"was not over within 0\.2s and was killed"):
        made.launcher.start_all()


def test_files_keep_tabs_and_braces_and_know_every_node(stage, tmp_path):
    made = stage(
        PING
        + 'ports: [peer]\nfiles: {sub/x.conf: "{ \\"a\\": {} }\\tport {port}\\n{all:{name}=http://{host}:{ports.peer}|,}\\n"}\n'
    )
    made.launcher.start_all()
    text = (tmp_path / "n1" / "data" / "sub" / "x.conf").read_text()
    peers = ",".join(f"{n}=http://127.0.0.1:{p.ports['peer']}" for n, p in made.launcher.places.items())
    assert text == f'{{ "a": {{}} }}\tport {made.launcher.places["n1"].port}\n{peers}\n'


@pytest.mark.parametrize(
    ("ready", "gate"),
    [
        ('{log: "listening on port {port}", within: 5s}', "log"),
        ("{port: open, within: 5s}", "port"),
        ('{request: {send: ping, reply: "^PONG"}, within: 5s}', "request"),
        ('{command: [sh, -c, "exit 0"], within: 5s}', "command"),
        ('{command: {run: [echo, "up {port}"], output: "up {port}"}, within: 5s}', "command"),
        ('{any: [{log: "never said"}, {ping: true}], within: 5s}', "any of 2: ping"),
    ],
)
def test_every_kind_of_probe_leaves_its_evidence(stage, ready, gate):
    made = stage(f"ready: {ready}\n")
    made.launcher.start_all()
    assert made.gates("n1")[gate]


@pytest.mark.parametrize(
    ("ready", "says"),
    [
        ('{log: "never said", within: 400ms}', "no line matching 'never said' in its log"),
        ('{request: {send: ping, reply: "^NO"}, within: 400ms}', "ping got"),
        ('{command: [sh, -c, "echo not yet; exit 7"], within: 400ms}', "ended with status 7, 'not yet"),
        ("{http: {url: /health}, within: 400ms}", "GET /health"),
        ("{log: {pattern: x, in: server.log}, within: 400ms}", "server.log, which is not there"),
        ('{any: [{log: "never said"}, {log: "nor this"}], within: 400ms}', "'nor this'"),
    ],
)
def test_a_node_that_is_not_ready_says_what_was_seen_instead(stage, ready, says):
    made = stage(f"ready: {ready}\n")
    with pytest.raises(NodeFailed) as error:
        made.launcher.start_all()
    assert says in str(error.value)
    assert "alive but was not ready within 0.4s" in str(error.value)


HTTP = """\
program: web
start: ["{python}", -c, "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port={port}, bind='{host}')"]
speak: http
requests: {get: "GET /{key}"}
replies: {get: {value: {status: 200}, not_found: {status: 404}}}
"""


def test_an_http_status_and_body_are_ready(stage):
    made = stage(
        'ready: {http: {url: "http://{host}:{port}/", body: "Directory listing"}, within: 10s}\nstop: {exit: [0, 143]}\n',
        HTTP,
    )
    made.launcher.start_all()
    assert made.gates("n1")["http"]["status"] == 200


LOGS_TO_A_FILE = """\
program: filed
start: [sh, -c, "echo role {role} ready >> {data_dir}/server.log; exec sleep 60"]
ready: {log: {pattern: "role {role} ready", in: server.log}, command: [test, -s, "{data_dir}/server.log"], within: 5s}
log: {extra: "*.log"}
stop: {exit: [0, 143]}
"""


def test_a_log_in_the_data_directory_counts_for_this_start_only_and_is_kept(stage, tmp_path):
    made = stage("", LOGS_TO_A_FILE)
    made.launcher.start_all()
    assert made.gates("n1")["log"]["file"] == "server.log"
    assert made.launcher.log_has("n1", "role leader ready")
    made.launcher.kill("n1")
    made.launcher.start("n1")
    made.launcher.stop("n1")
    assert (tmp_path / "n1" / "1-server.log").read_text() == "role leader ready\n"
    assert (tmp_path / "n1" / "2-server.log").read_text() == "role leader ready\n"


BUFFERED = """\
program: buffered
start: [awk, "BEGIN {print \\"ready now\\"; while (1) system(\\"sleep 1\\")}"]
stop: {exit: [0, 143]}
"""


@pytest.mark.skipif(shutil.which("mawk") is None and shutil.which("gawk") is None, reason="no awk")
def test_a_pseudo_terminal_shows_what_a_buffer_holds_back(stage):
    made = stage('log: pty\nready: {log: "ready now", command: ["true"], within: 5s}\n', BUFFERED)
    made.launcher.start_all()
    assert made.order("ready") == ["n1", "n2"]


DAEMON = """\
program: daemon
start: ["{python}", -I, STORE, "--port={port}", "--data-dir={data_dir}", "--role={role}", --how=background]
speak: lines
requests: {ping: PING}
replies: {ping: {ok: "^PONG$"}}
"""


def test_a_daemon_is_known_by_its_pid_file_and_its_exit_status_too(stage, tmp_path):
    made = stage(PING + "stop: {pid_file: pid, grace: 2s}\n", DAEMON)
    made.launcher.start_all()
    named = int((tmp_path / "n1" / "data" / "pid").read_text())
    assert made.launcher.nodes["n1"].process.pid == named
    made.launcher.stop("n1")
    ends = {fields["node"]: fields for name, fields in made.notes if name == "exit"}
    assert ends["n1"]["status"] == 0
    stopped = next(fields for name, fields in made.notes if name == "stopped")
    assert stopped["leftovers"] == []
    made.launcher.start("n1")
    assert made.launcher.nodes["n1"].up


def test_a_pid_file_that_names_a_stranger_is_not_believed(stage):
    base = DAEMON.replace("--how=background", "--how=exits_with_zero")
    made = stage(
        PING + f"stop: {{pid_file: pid}}\ninit: [[sh, -c, 'echo {os.getpid()} > {{data_dir}}/pid']]\n", base
    )
    with pytest.raises(NodeFailed, match="exited with status 0 before it was ready"):
        made.launcher.start_all()


def test_a_program_that_never_writes_its_pid_file_is_not_ready_and_that_is_said(stage):
    made = stage("ready: {ping: true, within: 400ms}\nstop: {pid_file: never}\n")
    with pytest.raises(NodeFailed, match="its pid file never names none of its processes"):
        made.launcher.start_all()


def test_a_stop_command_ends_a_node_and_a_useless_one_is_followed_by_a_kill(stage, tmp_path):
    made = stage(
        PING + "stop: {command: [sh, -c, 'kill -TERM $(cat {data_dir}/pid)'], grace: 2s}\ninit: []\n"
    )
    made.launcher.start_all()
    (tmp_path / "n1" / "data" / "pid").write_text(str(made.launcher.nodes["n1"].process.pid))
    made.launcher.stop("n1")
    (tmp_path / "n2" / "data" / "pid").write_text("none")
    made.launcher.stop("n2")
    ends = {fields["node"]: fields["says"] for name, fields in made.notes if name == "exit"}
    assert ends == {"n1": "exited with status 0", "n2": "was killed by SIGKILL"}
    assert any(name == "stop_command_failed" and fields["node"] == "n2" for name, fields in made.notes)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a program as somebody else")
def test_a_program_runs_as_the_user_it_names(stage, tmp_path):
    home = next(
        (folder for folder in (tmp_path, *tmp_path.parents) if not folder.stat().st_mode & 0o001), None
    )
    made = stage(
        "user: nobody\nready: {command: ['true']}\nstop: {exit: [143]}\n",
        "program: who\nstart: [sh, -c, 'id -u; exec sleep 60']\n",
    )
    if home is None:
        made.launcher.start_all()
        made.launcher.stop("n1")
        assert str(pwd.getpwnam("nobody").pw_uid) in (tmp_path / "n1" / "1.log").read_text()
    else:
        with pytest.raises(NodeFailed, match="user nobody may not enter"):
            made.launcher.start_all()
