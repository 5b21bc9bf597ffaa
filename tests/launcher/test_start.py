"""Starting a program as its node.yaml describes it: order, init, files, probes, logs, daemons."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

import pytest

from kvsim.errors import KvsimError, NodeFailed
from kvsim.launcher.node import Node
from tests.launcher.conftest import BASE, STORE

PING = "ready: {port: owned, ping: true, within: 5s}\n"


@pytest.mark.parametrize(
    ("order", "nodes"),
    [("leader_first", ["n1", "n2"]), ("followers_first", ["n2", "n1"])],
)
def test_nodes_start_in_the_programs_order(build_cluster, order, nodes):
    cluster = build_cluster(PING + f"order: {order}\n")
    cluster.launcher.start_all()
    assert cluster.nodes_of("ready") == nodes
    assert cluster.nodes_of("spawn") == nodes


def test_an_init_that_needs_the_leader_waits_for_it_even_when_all_start_together(build_cluster):
    connect = "import socket; socket.create_connection((chr(49)+'27.0.0.1', {leader.port}))"
    init = f'[{{run: ["{{python}}", -c, "{connect}"], roles: follower, needs: leader}}]'
    cluster = build_cluster(PING + f"order: together\ninit: {init}\n")
    cluster.launcher.start_all()
    assert cluster.nodes_of("ready") == ["n1", "n2"]


def test_init_and_after_start_run_once_for_a_data_directory(build_cluster, tmp_path):
    cluster = build_cluster(
        PING
        + 'init: [[sh, -c, "echo x >> {data_dir}/init"]]\n'
        + 'after_start: [{run: [sh, -c, "echo x >> {data_dir}/after"], roles: leader}]\n'
    )
    cluster.launcher.start_all()
    cluster.launcher.kill("n1")
    cluster.launcher.start("n1")
    data = tmp_path / "n1" / "data"
    assert (data / "init").read_text() == "x\n"
    assert (data / "after").read_text() == "x\n"
    assert not (tmp_path / "n2" / "data" / "after").exists()


def test_a_failing_init_names_its_command_status_and_last_lines(build_cluster):
    cluster = build_cluster(PING + 'init: [[sh, -c, "echo no disk; exit 9"]]\n')
    with pytest.raises(NodeFailed, match=r"(?s)init step `.*exit 9.*exited with status 9.*no disk"):
        cluster.launcher.start_all()


def test_an_init_that_hangs_is_killed_after_its_time_limit(build_cluster):
    cluster = build_cluster(PING + "init: [{run: [sleep, '60'], within: 100ms}]\n")
    with pytest.raises(NodeFailed, match=r"did not end within 0\.1s and was killed"):
        cluster.launcher.start_all()


def test_files_keep_tabs_and_braces_and_may_name_every_node(build_cluster, tmp_path):
    template = '{ \\"a\\": {} }\\tport {port}\\n{all:{name}=http://{host}:{ports.peer}|,}\\n'
    cluster = build_cluster(PING + f'ports: [peer]\nfiles: {{sub/x.conf: "{template}"}}\n')
    cluster.launcher.start_all()
    text = (tmp_path / "n1" / "data" / "sub" / "x.conf").read_text()
    addresses = cluster.launcher.addresses
    peers = ",".join(
        f"{name}=http://127.0.0.1:{address.ports['peer']}" for name, address in addresses.items()
    )
    assert text == f'{{ "a": {{}} }}\tport {addresses["n1"].port}\n{peers}\n'


def test_a_node_has_no_process_before_its_first_start(build_cluster):
    node: Node = build_cluster(PING).launcher.nodes["n1"]
    assert (node.up, node.tree(), node.search("")) == (False, [], False)
    with pytest.raises(KvsimError, match="node n1 was never started"):
        _ = node.started_process


# --- probes

ALL_PASS = """\
ready:
  log: "listening on port {port}"
  port: open
  ping: true
  request: {send: ping, reply: "^PONG"}
  command: {run: [echo, "up {port}"], output: "up {port}"}
  any: [{log: "never said"}, {command: [sh, -c, "exit 0"]}]
  within: 10s
"""


def test_every_kind_of_probe_gives_evidence(build_cluster):
    cluster = build_cluster(ALL_PASS)
    cluster.launcher.start_all()
    evidence = cluster.evidence("n1")
    assert evidence.keys() == {"log", "port", "ping", "request", "command", "any of 2: command"}
    assert all(evidence.values())


ALL_FAIL = """\
ready:
  log: "never said"
  port: {name: peer}
  request: {send: ping, reply: "^NO"}
  command: [sh, -c, "echo not yet; exit 7"]
  http: {url: "http://{host}:{ports.peer}/health"}
  any: [{log: {pattern: x, in: server.log}}, {log: "nor this"}]
  within: 400ms
ports: [peer]
"""
OBSERVED = [
    "alive but was not ready within 0.4s",
    "no line matching 'never said' in its log",
    "no process listens on port",
    "ping got",
    "ended with status 7, 'not yet",
    "/health: ",
    "server.log, which is not there",
    "'nor this'",
]


def test_the_error_for_a_node_that_is_not_ready_has_what_each_probe_observed(build_cluster):
    cluster = build_cluster(ALL_FAIL)
    with pytest.raises(NodeFailed) as error:
        cluster.launcher.start_all()
    assert [text for text in OBSERVED if text not in str(error.value)] == []
    (event,) = cluster.of_kind("start_failed")
    # The port and the page are not there, and the command failed: no description is what is wrong.
    # Without an answer, nor is that of the reply.
    assert event["missing"] == sorted(
        ["log", "port", "request", "command", "http", "any of 1: log", "any of 2: log"]
    )
    assert event["unmatched"].keys() - {"request"} == {"log", "any of 1: log", "any of 2: log"}


WRONGLY_DESCRIBED = [
    'log: "servnig"',
    'request: {send: ping, reply: "^NO"}',
    'command: {run: [sh, -c, "echo serves"], output: "servse"}',
    'any: [{log: "servnig"}, {request: {send: ping, reply: "^NO"}}]',
]


def test_a_greeting_that_the_program_does_not_send_is_such_a_description(build_cluster):
    cluster = build_cluster(
        "ready: {ping: true, within: 1s}\n",
        BASE.replace("speak: lines", "speak: {kind: lines, greeting: ^HELLO}"),
    )
    with pytest.raises(NodeFailed, match=r"may be what is wrong"):
        cluster.launcher.start_all()
    assert cluster.of_kind("start_failed")[0]["unmatched"] == {"ping": "`greeting`"}


@pytest.mark.parametrize("probe", WRONGLY_DESCRIBED)
def test_where_only_a_description_does_not_match_the_event_names_it(build_cluster, probe):
    cluster = build_cluster(f"ready:\n  port: owned\n  {probe}\n  within: 1s\n")
    with pytest.raises(NodeFailed, match=r"may be what is wrong|is not what it logs"):
        cluster.launcher.start_all()
    (event,) = cluster.of_kind("start_failed")
    assert event["missing"] == sorted(event["unmatched"])
    assert event.get("log", "servnig") == "servnig"


HTTP = """\
program: web
start:
  ["{python}", -c,
   "import http.server as h; h.test(h.SimpleHTTPRequestHandler, port={port}, bind='{host}')"]
speak: http
requests: {get: "GET /{key}"}
replies: {get: {value: {status: 200}, not_found: {status: 404}}}
ready: {http: {url: "http://{host}:{port}/", body: "Directory listing"}, within: 10s}
stop: {exit: [0, 143]}
"""


def test_a_body_that_does_not_match_is_named_too(build_cluster):
    cluster = build_cluster("", HTTP.replace("ry listing", "ry lsiting").replace("10s", "2s"))
    with pytest.raises(NodeFailed, match=r"may be what is wrong"):
        cluster.launcher.start_all()
    assert cluster.of_kind("start_failed")[0]["unmatched"] == {"http": "'Directory lsiting'"}


def test_an_http_status_and_body_are_evidence(build_cluster):
    cluster = build_cluster("", HTTP)
    cluster.launcher.start_all()
    assert cluster.evidence("n1")["http"]["status"] == 200


# --- logs

LOGS_TO_A_FILE = """\
program: filed
start: [sh, -c, "echo role {role} ready >> {data_dir}/server.log; exec sleep 60"]
ready:
  log: {pattern: "role {role} ready", in: server.log}
  command: [test, -s, "{data_dir}/server.log"]
  within: 5s
log: {extra: "*.log"}
stop: {exit: [0, 143]}
"""


def test_a_log_in_the_data_directory_counts_for_this_start_only_and_is_recorded(
    build_cluster, tmp_path
):
    cluster = build_cluster("", LOGS_TO_A_FILE)
    cluster.launcher.start_all()
    assert cluster.evidence("n1")["log"]["file"] == "server.log"
    assert cluster.launcher.log_has("n1", "role leader ready")
    cluster.launcher.kill("n1")
    cluster.launcher.start("n1")
    cluster.launcher.stop("n1")
    assert (tmp_path / "n1" / "1-server.log").read_text() == "role leader ready\n"
    assert (tmp_path / "n1" / "2-server.log").read_text() == "role leader ready\n"


BUFFERED = """\
program: buffered
start: [awk, "BEGIN {print \\"ready now\\"; while (1) system(\\"sleep 1\\")}"]
stop: {exit: [0, 143]}
log: pty
ready: {log: "ready now", command: ["true"], within: 5s}
"""


@pytest.mark.skipif(shutil.which("mawk") is None and shutil.which("gawk") is None, reason="no awk")
def test_a_pseudo_terminal_shows_what_a_program_would_buffer(build_cluster):
    cluster = build_cluster("", BUFFERED)
    cluster.launcher.start_all()
    assert cluster.nodes_of("ready") == ["n1", "n2"]


# --- standard input

READS_ITS_INPUT = """\
program: reads
start: [sh, -c, "cat; exit 3"]
ready: {any: [{log: never}, {command: ["true"]}]}
"""


def test_a_standard_input_may_stay_open(build_cluster):
    cluster = build_cluster("stdin: open\n", READS_ITS_INPUT)
    cluster.launcher.start_all()
    cluster.launcher.stop("n1")
    (end,) = cluster.of_kind("exit")
    assert end["signal"] == "SIGTERM"
    cluster.launcher.kill_all()


def test_a_standard_input_is_at_its_end_otherwise(build_cluster):
    never = "ready: {log: never, within: 5s}\n"
    cluster = build_cluster(never, READS_ITS_INPUT.partition("ready")[0])
    with pytest.raises(NodeFailed, match="exited with status 3 before it was ready"):
        cluster.launcher.start_all()


# --- words of commands


def test_every_word_that_is_a_file_beside_the_description_is_found_there(build_cluster, tmp_path):
    (tmp_path / "run.py").write_text(
        "import runpy, sys; sys.argv.pop(0); runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    shutil.copy(STORE, tmp_path / "store")
    base = BASE.replace("-I, STORE", "-I, run.py, store")
    cluster = build_cluster(PING, base)
    cluster.launcher.start_all()
    argv = cluster.of_kind("spawn")[0]["argv"]
    assert argv[2:4] == [str(tmp_path / "run.py"), str(tmp_path / "store")]
    cluster.launcher.kill_all()


def test_words_for_roles_may_hold_names_and_an_argument_may_be_one_for_each_node(build_cluster):
    more = (
        'start: [sh, -c, "exec sleep 60", sh, "{role}", "{index0}", "{nodes.n2.role}", '
        '"{others*:--peer={name}:{role}}", "{all*:-n|{id}}"]\n'
        'role_words: {follower: "replica-of:{leader.port}"}\n'
    )
    base = 'program: words\nready: {any: [{log: never}, {command: ["true"]}]}\n'
    cluster = build_cluster(more, base)
    cluster.launcher.start_all()
    leader, follower = (event["argv"] for event in cluster.of_kind("spawn"))
    word = f"replica-of:{cluster.launcher.nodes['n1'].address.port}"
    assert leader[4:] == ["leader", "0", word, f"--peer=n2:{word}", "-n", "1", "-n", "2"]
    assert follower[4:] == [word, "1", word, "--peer=n1:leader", "-n", "1", "-n", "2"]
    cluster.launcher.kill_all()


# --- a cluster that is ready


LEADS = "[sh, -c, 'test {role} = leader']"


@pytest.mark.parametrize(("at", "is_ready"), [("one", True), ("majority", False), ("each", False)])
def test_some_node_may_make_the_cluster_ready(build_cluster, at, is_ready):
    ready = f"cluster_ready: {{command: {LEADS}, at: {at}, within: 300ms}}\n"
    cluster = build_cluster(PING + ready.replace("LEADS", LEADS))
    if is_ready:
        cluster.launcher.start_all()
        cluster.launcher.kill("n2")
        cluster.launcher.start("n2")
        assert set(cluster.nodes_of("cluster_ready")) == {"n1"}
    else:
        with pytest.raises(NodeFailed, match="n2"):
            cluster.launcher.start_all()
    cluster.launcher.kill_all()


# --- daemons

DAEMON = """\
program: daemon
start:
  ["{python}", -I, STORE, "--port={port}", "--data-dir={data_dir}", "--role={role}",
   --how=background]
speak: lines
requests: {ping: PING}
replies: {ping: {ok: "^PONG$"}}
"""


def test_a_daemon_is_found_by_its_pid_file_and_its_exit_status_is_recorded(build_cluster, tmp_path):
    cluster = build_cluster(PING + "stop: {pid_file: pid, grace: 2s}\n", DAEMON)
    cluster.launcher.start_all()
    named = int((tmp_path / "n1" / "data" / "pid").read_text())
    assert cluster.launcher.nodes["n1"].started_process.pid == named
    cluster.launcher.stop("n1")
    ends = {event["node"]: event for event in cluster.of_kind("exit")}
    assert ends["n1"]["status"] == 0
    assert cluster.of_kind("stopped")[0]["leftovers"] == []
    cluster.launcher.start("n1")
    assert cluster.launcher.nodes["n1"].up


def test_a_daemon_that_hides_is_known_by_its_pid_file_and_its_port(build_cluster, tmp_path):
    """It has a new session, an empty environment, and a parent that has ended."""
    base = DAEMON.replace('["{python}"', '[env, -i, setsid, --fork, "{python}"')
    cluster = build_cluster(PING + "stop: {pid_file: pid, grace: 2s}\n", base)
    cluster.launcher.start_all()
    node = cluster.launcher.nodes["n1"]
    assert node.started_process.pid == int((tmp_path / "n1" / "data" / "pid").read_text())
    cluster.launcher.stop("n1")
    assert (node.up, cluster.of_kind("stopped")[0]["leftovers"]) == (False, [])
    cluster.launcher.stop_all()


def test_a_program_that_serves_until_its_input_ends_is_told_of_its_input(build_cluster):
    cluster = build_cluster("", "program: p\nstart: [cat]\n")
    with pytest.raises(
        NodeFailed, match=r"exited with status 0 .*: if it serves until its standard"
    ):
        cluster.launcher.start_all()
    kept_open = build_cluster("ready: {within: 300ms}\nstdin: open\n", "program: p\nstart: [cat]\n")
    with pytest.raises(NodeFailed) as raised:
        kept_open.launcher.start_all()
    assert "is alive but was not ready" in str(raised.value)
    kept_open.launcher.stop_all()


def test_a_pid_file_that_names_a_foreign_process_is_ignored(build_cluster):
    base = DAEMON.replace("--how=background", "--how=exits_with_zero")
    init = f"[[sh, -c, 'echo {os.getpid()} > {{data_dir}}/pid']]"
    cluster = build_cluster(PING + f"stop: {{pid_file: pid}}\ninit: {init}\n", base)
    with pytest.raises(NodeFailed, match="exited with status 0 before it was ready"):
        cluster.launcher.start_all()


def test_the_error_for_a_program_that_never_writes_its_pid_file_names_the_file(build_cluster):
    cluster = build_cluster("ready: {ping: true, within: 300ms}\nstop: {pid_file: never}\n")
    with pytest.raises(NodeFailed, match="its pid file never names none of its processes"):
        cluster.launcher.start_all()


# --- users


def closed_folder(path: Path) -> Path | None:
    """The first folder of `path`, from its end, that other users may not enter."""
    folders = (path, *path.parents)
    return next((folder for folder in folders if not folder.stat().st_mode & 0o001), None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may run a program as another user")
def test_a_program_runs_as_the_user_it_names(build_cluster, tmp_path):
    cluster = build_cluster(
        "user: nobody\nready: {command: ['true']}\nstop: {exit: [143]}\n",
        "program: who\nstart: [sh, -c, 'id -u; exec sleep 60']\n",
    )
    if closed_folder(tmp_path) is None:
        cluster.launcher.start_all()
        cluster.launcher.stop("n1")
        assert str(pwd.getpwnam("nobody").pw_uid) in (tmp_path / "n1" / "1.log").read_text()
    else:
        with pytest.raises(NodeFailed, match="user nobody may not enter"):
            cluster.launcher.start_all()
