"""`speak: command` with real commands: a tiny store client written in Python or sh, and commands
that misbehave.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kvsim.client.exchange import Client, Request, Response
from kvsim.client.settings import BadSetting
from kvsim.client.templates import UnknownVerb, Unsendable
from kvsim.config.program import Program, ReplyRule
from kvsim.errors import UsageError
from kvsim.history.outcome import OutcomeKind, Reason
from kvsim.waiting import Deadline, wait_until
from tests.client.programs import client, program

LONG_S = 20.0
PYTHON = [sys.executable, "-I", "-S", "-c"]
ECHO = "import sys; sys.stdout.write('|'.join(sys.argv[1:]) + '\\n' + sys.stdin.read())"
OK = frozenset({0})


def running(tmp_path: Path, command: object, *rules: ReplyRule, **settings: object) -> Program:
    return program(
        "command",
        settings,
        {"get": command},
        {"get": rules or (ReplyRule("value", status=OK),)},
        tmp_path,
    )


def ask(to: Client, timeout_s: float = LONG_S, **fields: str) -> Response:
    return to.ask(Request("get", fields), timeout_s)


def sh(script: str) -> list[str]:
    return ["/bin/sh", "-c", script, "sh", "{key}"]


def test_fields_and_names_become_single_arguments(tmp_path):
    to = client(9001, running(tmp_path, [*PYTHON, ECHO, "--port={port}", "{key}", "{value}", ""]))
    answer = ask(to, key="a b", value="'quoted' $HOME\n; rm")
    assert answer.outcome.value == "--port=9001|a b|'quoted' $HOME\n; rm|"
    assert (answer.exchange.status, answer.exchange.failure) == (0, None)
    assert answer.exchange.sent.startswith(shlex.quote(sys.executable).encode())
    assert b"'a b'" in answer.exchange.sent


def test_a_text_is_split_before_it_is_filled_in(tmp_path):
    line = f"{shlex.quote(sys.executable)} -I -S -c \"{ECHO}\" get '{{key}} x'"
    assert ask(client(1, running(tmp_path, line)), key="a b").outcome.value == "get|a b x"


def test_standard_input_is_a_template_of_any_length(tmp_path):
    to = client(1, running(tmp_path, {"argv": [*PYTHON, ECHO], "stdin": "GET {key}\n"}))
    value = "x" * 1_000_000
    answer = ask(to, key=value)
    assert answer.outcome.value == f"\nGET {value}"
    assert answer.exchange.sent.endswith(b"GET " + value.encode() + b"\n")


@pytest.mark.parametrize(
    ("script", "kind", "reason"),
    [
        ("echo OK", OutcomeKind.OK, None),
        ("echo OK; exit 3", OutcomeKind.UNKNOWN, Reason.UNRECOGNISED),
        ("echo read-only >&2; exit 1", OutcomeKind.REFUSED, Reason.READ_ONLY),
        ("exit 1", OutcomeKind.UNKNOWN, Reason.UNRECOGNISED),
        ("kill -SEGV $$", OutcomeKind.UNKNOWN, Reason.UNRECOGNISED),
        ("kill -KILL 0", OutcomeKind.UNKNOWN, Reason.UNRECOGNISED),
    ],
)
def test_rules_read_status_output_and_errors(tmp_path, script, kind, reason):
    rules = (
        ReplyRule("ok", reply="^OK$", status=OK),
        ReplyRule("read_only", stderr="read-only", status=frozenset({1, 2})),
    )
    outcome = ask(client(1, running(tmp_path, sh(script), *rules)), key="k").outcome
    assert (outcome.kind, outcome.reason) == (kind, reason)


def test_the_signal_that_ended_a_command_is_named(tmp_path):
    outcome = ask(client(1, running(tmp_path, sh("echo so far; kill -ABRT $$"))), key="k").outcome
    assert "SIGABRT" in outcome.detail
    assert "so far" in outcome.detail


@pytest.fixture
def pid_file(tmp_path) -> Iterator[Path]:
    """Where a script leaves the pid of a child; the child must be gone at the end."""
    path = tmp_path / "pid"
    yield path
    pid = int(path.read_text())
    wait_until(lambda: not alive(pid), Deadline.after(LONG_S), f"process {pid} is gone")


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path, pid_file):
    script = f"trap '' TERM; sleep 1000 & echo $! > {pid_file}; echo started; wait"
    to = client(1, running(tmp_path, sh(script)))
    answer = ask(to, 0.5, key="k")
    assert (answer.outcome.kind, answer.outcome.reason) == (OutcomeKind.UNKNOWN, Reason.TIMEOUT)
    assert answer.exchange.received == b"started\n"
    assert answer.exchange.status is None


def test_a_child_that_holds_the_output_is_not_waited_for(tmp_path, pid_file):
    answer = ask(
        client(1, running(tmp_path, sh(f"sleep 1000 & echo $! > {pid_file}; echo done"))), key="k"
    )
    assert answer.outcome.value == "done"


def test_too_much_output_is_cut_off(tmp_path):
    answer = ask(client(1, running(tmp_path, sh("yes"), reply_max_bytes="100000")), key="k")
    assert (answer.exchange.failure, answer.outcome.kind) == ("oversize", OutcomeKind.UNKNOWN)
    assert len(answer.exchange.received) < 300_000


def test_a_command_that_reads_no_input_does_not_stop_kvsim(tmp_path):
    to = client(1, running(tmp_path, {"argv": ["/bin/sh", "-c", "echo OK"], "stdin": "{key}"}))
    assert ask(to, key="x" * 1_000_000).outcome.value == "OK"


def test_closed_outputs_do_not_spin_or_end_the_wait(tmp_path):
    answer = ask(client(1, running(tmp_path, sh("exec >&- 2>&-; sleep 0.2; exit 7"))), key="k")
    assert answer.exchange.status == 7


def test_a_relative_command_is_found_beside_node_yaml_and_runs_there(tmp_path):
    script = tmp_path / "build" / "kv_client"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\npwd; echo $EXTRA\n")
    script.chmod(0o755)
    to = client(9001, running(tmp_path, "./build/kv_client", env={"EXTRA": "p{port}"}))
    assert ask(to).outcome.value == f"{tmp_path.resolve()}\np9001"
    script.unlink()
    with pytest.raises(UsageError, match="kv_client"):
        ask(to)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("./build/no_such_client", "there is no ./build/no_such_client"),
        ("no-such-command-anywhere {key}", "on PATH"),
        ("./plain", "not executable"),
        ("kv_client 'unclosed", "no command line"),
        ([], "at least 1 in this list"),
        ({"argv": "true", "shell": "yes"}, 'unknown key "shell"'),
    ],
)
def test_a_command_that_cannot_be_run_is_reported_before_any_request(tmp_path, command, message):
    (tmp_path / "plain").write_text("")
    with pytest.raises(UsageError, match=message):
        client(1, running(tmp_path, command))


def test_a_script_without_an_interpreter_is_a_usage_error(tmp_path):
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x00\x01")
    broken.chmod(0o755)
    with pytest.raises(UsageError, match="cannot run"):
        ask(client(1, running(tmp_path, "./broken")))


def test_limits_of_arguments_are_never_a_refusal(tmp_path):
    to = client(1, running(tmp_path, sh("echo OK")))
    with pytest.raises(Unsendable, match="NUL"):
        ask(to, key="a\0b")
    with pytest.raises(Unsendable, match="bytes"):
        ask(to, key="x" * 10_000_000)


def test_unknown_verbs_and_settings_are_named(tmp_path):
    to = client(1, running(tmp_path, sh("echo OK")))
    with pytest.raises(UnknownVerb, match="no request `put`; it has get"):
        to.ask(Request("put"), LONG_S)
    with pytest.raises(BadSetting, match='unknown key "connection"'):
        client(1, running(tmp_path, sh("true"), connection="persistent"))
