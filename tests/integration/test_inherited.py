"""What kvsim inherits from the program that started it decides nothing about a store."""

from __future__ import annotations

import array
import fcntl
import json
import os
import resource
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from kvsim.waiting import Deadline, wait_until

KVSIM = [sys.executable, "-m", "kvsim"]
# What a parent does before it becomes kvsim.
PARENTS = {
    "ignores-sigchld": "signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
    "ignores-all": ("[signal.signal(n, signal.SIG_IGN) for n in signal.valid_signals() - {9, 19}]"),
    "blocks-all": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    "closes-streams": "[os.close(n) for n in (0, 1, 2)]",
    "no-rights-for-the-owner": "os.umask(0o777)",
    "little-memory-softly": "resource.setrlimit(resource.RLIMIT_AS, (100 << 20, -1))",
    "small-files-softly": "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, -1))",
    "few-files": "resource.setrlimit(resource.RLIMIT_NOFILE, (40, 4096))",
    "small-stack-softly": "resource.setrlimit(resource.RLIMIT_STACK, (512 << 10, -1))",
    "nice": "os.nice(10)",
    "another-personality": "ctypes.CDLL(None).personality(0x0008)",
}
PARENT = "import ctypes, os, resource, signal, sys\n{}\nos.execvp(sys.argv[1], sys.argv[1:])"
# A store that ends with status 3 on SIGTERM, which is not clean: only its exit status shows that.
UNCLEAN = """
import argparse, os, signal, socket
signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
parser = argparse.ArgumentParser(); parser.add_argument("--port", type=int)
server = socket.create_server(("127.0.0.1", parser.parse_args().port))
while True:
    client, _ = server.accept()
    for line in client.makefile():
        client.sendall(b"OK\\n")
"""
UNCLEAN_NODE = """\
program: unclean
start: ["{python}", "{program_dir}/store.py", "--port={port}"]
speak: lines
requests: {put: "PUT {key} {value}"}
replies: {put: {ok: "^OK$"}}
"""


def run_below(project, parent: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PARENT.format(PARENTS[parent]), *KVSIM, *words],
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=180,
    )


def verdict(project) -> str:
    return json.loads((project.latest / "proof.json").read_text())["verdict"]


@pytest.mark.slow
@pytest.mark.parametrize("parent", PARENTS)
def test_a_correct_store_passes(project, parent):
    done = run_below(project, parent, "run", "scenarios/roles.yaml")
    assert (verdict(project), done.returncode) == ("pass", 0), done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("parent", ["ignores-sigchld", "blocks-all"])
def test_an_unclean_end_is_noticed(project, parent):
    (project.folder / "store.py").write_text(UNCLEAN)
    project.write("node.yaml", UNCLEAN_NODE)
    project.scenario("- put: {at: leader, key: k, value: v}", head="checks: [exits_clean]")
    program = ("--program", "node.yaml")
    done = run_below(project, parent, "run", "scenarios/mine.yaml", *program)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "status 3" in done.stdout


def test_a_blocked_signal_still_ends_kvsim(project):
    project.scenario("- sleep: {for: 30s, why: a signal comes}")
    command = [sys.executable, "-c", PARENT.format(PARENTS["blocks-all"]), *KVSIM]
    with subprocess.Popen(
        [*command, "run", "scenarios/mine.yaml"],
        cwd=project.folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        project.wait_for_journal('"event":"ready"')
        process.send_signal(signal.SIGTERM)
        assert process.wait(180) != 0


def test_no_core_file_is_left_of_kvsim_itself(project):
    """A core file of the parent's choice would lie in the user's folder."""
    project.scenario("- sleep: {for: 30s, why: a signal comes}")
    parent = "h = resource.getrlimit(resource.RLIMIT_CORE)[1]; resource.setrlimit(4, (h, h))"
    command = [sys.executable, "-c", PARENT.format(parent), *KVSIM, "run", "scenarios/mine.yaml"]
    null = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=project.folder, stdout=null, stderr=null) as process:
        project.wait_for_journal('"event":"ready"')
        soft, _ = resource.prlimit(process.pid, resource.RLIMIT_CORE)
        process.send_signal(signal.SIGTERM)
        process.wait(180)
    assert soft == 0


def test_nohup_is_respected(project):
    """An ignored SIGHUP does not interrupt a run."""
    project.scenario("- sleep: {for: 500ms, why: a signal comes}")
    with subprocess.Popen(
        ["nohup", *KVSIM, "run", "scenarios/mine.yaml"],
        cwd=project.folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        project.wait_for_journal('"event":"ready"')
        process.send_signal(signal.SIGHUP)
        process.wait(180)
    assert "interrupted" not in (project.latest / "proof.txt").read_text()


SHADOWING = 'raise SystemExit("a module of the working directory was imported: " + __name__)\n'
COMMANDS = {
    "one": ["run", "scenarios/roles.yaml"],
    "several": ["run", "scenarios/roles.yaml", "scenarios/reads.yaml", "-j", "2"],
    "load": ["run", "scenarios/mine.yaml"],
    "repeat": ["repeat", "scenarios/roles.yaml", "-n", "2"],
}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_no_file_of_the_working_directory_is_taken_for_a_module_of_the_library(project, command):
    project.scenario(
        "- load: {start: w, at: leader, mix: {put: 100}, keys: 4}\n"
        "- sleep: {for: 300ms, why: the load runs}\n- load: {stop: w}"
    )
    for name in sys.stdlib_module_names:
        (project.folder / f"{name}.py").write_text(SHADOWING)
    # `python -m` needs some of them itself.
    script = Path(sys.executable).with_name("kvsim")
    done = subprocess.run(
        [script, *COMMANDS[command]],
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "variables",
    [
        {"PYTHONOPTIMIZE": "2"},
        {"PYTHONINSPECT": "1", "PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"},
        {"PYTHONHASHSEED": "0", "PYTHONSAFEPATH": "1", "PYTHONUTF8": "0", "LC_ALL": "C"},
    ],
    ids=lambda variables: next(iter(variables)),
)
def test_variables_of_python_change_nothing(project, variables):
    done = project.run("repeat", "scenarios/roles.yaml", "-n", "2", "--json", env=variables)
    assert json.loads(done.stdout)["endings"]["pass"]["count"] == 2, done.stdout + done.stderr
    run = project.run("run", "scenarios/roles.yaml", env={**variables, "PYTHONINSPECT": ""})
    assert run.returncode == 0, run.stdout + run.stderr


def in_deleted_folder(project, *words: str) -> subprocess.CompletedProcess[str]:
    script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"'
    return subprocess.run(
        ["/bin/sh", "-c", script, "sh", *KVSIM, *words],
        cwd=project.folder,
        capture_output=True,
        text=True,
        timeout=180,
    )


@pytest.mark.parametrize("words", [["run", "SCENARIO"], ["up"], ["repeat", "x"]])
def test_a_deleted_working_directory_is_one_line(project, words):
    scenario = str(project.folder / "scenarios/roles.yaml")
    done = in_deleted_folder(project, *(word.replace("SCENARIO", scenario) for word in words))
    assert done.returncode == 4
    assert done.stderr.splitlines() == [
        "kvsim: the working directory does not exist any more: cd to another"
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes pid namespaces here")
def test_a_proc_of_another_namespace_is_one_line(project):
    command = ["unshare", "--pid", "--fork", *KVSIM, "run", "scenarios/roles.yaml"]
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=180)
    assert (done.returncode, done.stderr.count("\n")) == (4, 1)
    assert "--mount-proc" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces here")
@pytest.mark.parametrize("words", [("run", "scenarios/roles.yaml"), ("up",)])
def test_a_loopback_that_is_down_is_said_before_anything_starts(project, words):
    command = ["unshare", "--net", *KVSIM, *words]
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, timeout=180)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, "ip link set lo up" in line) == (4, True)
    assert not (project.folder / "runs").exists()


def test_a_pipe_that_the_parent_made_non_blocking_gets_everything(project):
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    command = [*KVSIM, "schema", "scenario"]
    with subprocess.Popen(command, cwd=project.folder, stdout=writing) as process:
        os.close(writing)
        with os.fdopen(reading, "rb") as output:
            # The pipe is full before anything is read from it, or kvsim has ended.
            wait_until(
                lambda: process.poll() is not None or _waiting_bytes(reading) >= 4096,
                Deadline.after(180),
                "a full pipe",
            )
            text = output.read()
        assert process.wait(180) == 0
    assert text.decode() == project.run("schema", "scenario").stdout


def _waiting_bytes(descriptor: int) -> int:
    count = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, count)
    return count[0]


@pytest.mark.parametrize(
    ("name", "option", "hard"),
    [("NOFILE", "-n", 64), ("FSIZE", "-f", 4096), ("CPU", "-t", 30)],
)
def test_a_hard_limit_that_is_too_low_is_said_before_anything_starts(project, name, option, hard):
    """Nodes would meet it, and be blamed for it."""
    parent = f"resource.setrlimit(resource.RLIMIT_{name}, ({hard}, {hard}))"
    for words in (("run", "scenarios/roles.yaml"), ("up",)):
        done = subprocess.run(
            [sys.executable, "-c", PARENT.format(parent), *KVSIM, *words],
            cwd=project.folder,
            capture_output=True,
            text=True,
            timeout=180,
        )
        (line,) = done.stderr.splitlines()
        assert done.returncode == 4, done.stderr
        assert f"nothing was started: the hard limit RLIMIT_{name} is {hard:,}" in line
        assert f"`ulimit -H {option}`" in line
    assert not (project.folder / "runs").exists()
    assert not (project.folder / ".kvsim").exists()
