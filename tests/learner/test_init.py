"""From an undescribed binary to a verdict in one command."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
STORE = Path(__file__).parents[1] / "hostile" / "store.py"
MINE = ("init", "--program", "./build/kvstore", "--client", "./build/kv_client")


def test_a_store_in_c_with_its_client(home, kvsim):
    done = kvsim(*MINE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("wrote node.yaml, cluster.yaml, roles.yaml\n")
    written = (home / "node.yaml").read_text()
    # printf to a file is buffered.
    assert "log: linebuf" in written
    assert "(?P<leader_port>" in written
    assert "capabilities: [roles, restart, redirect]" in written
    assert kvsim("lint", "node.yaml", "cluster.yaml", "roles.yaml").returncode == 0


def test_a_command_without_a_role_claims_none(home, kvsim):
    """Every node of it is a leader: no verdict can be given, and the reason is said."""
    done = kvsim(
        "init",
        "--nodes",
        2,
        "--program",
        "./build/kvstore --port={port} --data-dir={data_dir}",
        "--client",
        "./build/kv_client",
    )
    assert done.returncode == 2
    assert "no difference between a leader and a follower was observed" in done.stdout
    assert "its own text has --role" in done.stdout
    assert "VERDICT: UNKNOWN (nothing was proven)" in done.stdout
    assert "capabilities: [restart]" in (home / "node.yaml").read_text()


def test_a_store_that_speaks_lines_needs_no_client(kvsim, home):
    options = "--how=well_behaved --port={port} --data-dir={data_dir} --role={role}"
    command = f"{shlex.quote(sys.executable)} -I {shlex.quote(str(STORE))} {options}"
    done = kvsim("init", "--program", command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "speak: lines" in (home / "node.yaml").read_text()


def test_existing_files_are_not_overwritten(home, kvsim):
    (home / "node.yaml").write_text("mine\n")
    done = kvsim(*MINE)
    assert done.returncode == 4
    assert "node.yaml exist already; --force overwrites them" in done.stderr
    assert (home / "node.yaml").read_text() == "mine\n"


def test_a_program_that_is_not_there_is_said_before_existing_files(home, kvsim):
    (home / "node.yaml").write_text("mine\n")
    done = kvsim("init", "--program", "./build/kvstore", "--client", "./build/nothing")
    assert done.returncode == 4
    assert "there is no program ./build/nothing (is it built?)" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("init",), "kvsim init --program ./build/kvstore"),
        (("init", "--program", "./build/nothing"), "build/nothing (is it built?)"),
        (("init", "--program", "./build/kv_client"), "did not start with any of the usual options"),
        (("init", "--program", "sleep 100 --port {port}"), "did not start"),
    ],
)
def test_a_failed_discovery_is_reported(kvsim, words, message):
    done = kvsim(*words)
    assert done.returncode == 4, done.stdout + done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def mini(tmp_path) -> Callable[..., str]:
    """Put the mini store of one style into the learner's folder; its command."""

    def make(**style: Any) -> str:
        shutil.copy(HERE / "mini_store.py", tmp_path / "store.py")
        (tmp_path / "store.py").chmod(0o755)
        (tmp_path / "style").write_text(json.dumps(style))
        return "./store.py"

    return make


def described(home: Path) -> str:
    """node.yaml without its comments."""
    lines = (home / "node.yaml").read_text().splitlines()
    return "\n".join(line for line in lines if not line.lstrip().startswith("#"))


def test_a_frames_store_needs_no_client(home, kvsim):
    done = kvsim("init", "--program", "./build/kvstore")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "speak: frames" in described(home)


@pytest.mark.slow
def test_an_error_of_a_follower_is_no_proof(home, kvsim, mini):
    done = kvsim("init", "--nodes", 2, "--program", mini(refusal="ERR internal error"))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "VERDICT: UNKNOWN" in done.stdout
    assert "unproven: a follower answers a put with 'ERR internal error'" in done.stdout
    # One verdict, everywhere.
    assert "VERDICT: UNKNOWN" in (home / "runs/latest/proof.txt").read_text()
    assert kvsim("verify", "runs/latest").returncode == 2
    assert 'any: {refused: "^ERR internal error$"}' in described(home)


STARTS = {
    "equals": ('"--port={port}", "--data-dir={data_dir}", "--role={role}"', "--leader="),
    "lesson": ('"--port", "{port}", "--data-dir", "{data_dir}", "--role={role}"', '"--leader", '),
    "short": ('"-p", "{port}", "-d", "{data_dir}", "--role", "{role}"', '"--leader", '),
    "replicaof": ('"--port", "{port}", "--dir", "{data_dir}"]', '"--replicaof", '),
    "flag": ('"--port={port}"]', "--leader-addr="),
    "positional": ('"{port}", "{data_dir}", "{role}"', '["{leader.'),
    "url": ('env_follower: {LEADER_URL: "http://{leader.addr}"}', 'DATA_DIR: "{data_dir}"'),
    "subcommand": ('"serve", "--listen", ', '"--store", "{data_dir}"', '"--replica-of", '),
    "environment": ('PORT: "{port}", DATA_DIR: "{data_dir}", ROLE: "{role}"', 'LEADER: "{leader.'),
}


@pytest.mark.slow
@pytest.mark.parametrize("start", STARTS)
def test_every_start_style_is_found(home, kvsim, mini, start):
    done = kvsim("init", "--nodes", 2, "--program", mini(start=start, handler=False))
    assert done.returncode == 0, done.stdout + done.stderr
    for part in STARTS[start]:
        assert part in described(home)
    assert "exit: [0, 143]" in described(home)


@pytest.mark.slow
@pytest.mark.parametrize("words", [("primary", "replica"), ("master", "slave")])
def test_other_words_for_roles_are_found(home, kvsim, mini, words):
    done = kvsim("init", "--nodes", 2, "--program", mini(start="lesson", role_words=words))
    assert done.returncode == 0, done.stdout + done.stderr
    leader, follower = words
    assert f'role_words: {{leader: "{leader}", follower: "{follower}"}}' in described(home)


@pytest.mark.slow
@pytest.mark.parametrize("protocol", ["lines", "frames", "resp", "http"])
@pytest.mark.parametrize("keeps", ["nothing", "kill"])
def test_every_protocol_is_found(home, kvsim, mini, protocol, keeps):
    done = kvsim("init", "--nodes", 2, "--program", mini(protocol=protocol, keeps=keeps))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"speak: {protocol}" in described(home)
    # Only the stores of this file that go through `act` write their data.
    keeps_it = keeps == "kill" and protocol in ("lines", "frames")
    assert ("restart" in described(home)) == keeps_it
    assert ("keeps: nothing" in described(home)) is not keeps_it


@pytest.mark.slow
@pytest.mark.parametrize(
    "answers",
    [
        "bare_not_found",
        "bare_nil",
        "bare_empty_line",
        "bare_error_word",
        "value_word",
        "quoted",
        "ok_and_value",
        "key_echo",
        "numbered",
        "value_echo",
        "json",
        "json_escaped",
        "json_alone",
        "code",
    ],
)
def test_every_answer_style_passes(home, kvsim, mini, answers):
    done = kvsim("init", "--nodes", 2, "--program", mini(answers=answers))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "delete:" in described(home)


@pytest.mark.slow
def test_a_leader_named_wrongly_fails(kvsim, mini):
    done = kvsim(
        "init", "--nodes", 2, "--program", mini(refusal="read-only, the leader is on port 9999")
    )
    assert done.returncode == 1
    assert "refusal names 9999" in done.stdout


@pytest.mark.slow
def test_what_cannot_be_asked_is_written_as_a_guess(home, kvsim):
    server = f"{sys.executable} -m http.server --bind {{host}} {{port}}"
    done = kvsim("init", "--program", server)
    assert done.returncode == 4
    assert "tried, and what came back" in done.stdout
    assert "none of the usual requests stored a value" in done.stderr
    assert kvsim("lint", "node.yaml", "cluster.yaml").returncode == 0
    assert "To do" in (home / "node.yaml").read_text()


LESSON = HERE / "lesson_store.cpp"


@pytest.mark.slow
@pytest.mark.parametrize("separate", [True, False])
def test_the_lessons_store_in_cpp(home, kvsim, separate):
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler here (apt-get install g++)")
    flags = ["-DSEPARATE"] if separate else []
    subprocess.run(
        [compiler, "-std=c++17", "-pthread", *flags, "-o", home / "build/lesson", LESSON],
        check=True,
        timeout=180,
    )
    done = kvsim("init", "--program", "./build/lesson")
    assert done.returncode == 0, done.stdout + done.stderr
    start = '"--port", "{port}", "--data-dir", "{data_dir}", "--role={role}"'
    assert (start in described(home)) == separate
    assert "exit: [0, 143]" in described(home)


@pytest.mark.real
def test_an_undescribed_redis(home, kvsim):
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    done = kvsim("init", "--program", "redis-server --port {port} --dir {data_dir}")
    # Two servers, and neither follows the other: no verdict can be given.
    assert done.returncode == 2, done.stdout + done.stderr
    assert "speak: resp" in (home / "node.yaml").read_text()
