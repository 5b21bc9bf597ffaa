"""Starting one process: its session, what it inherits, and why it cannot be started."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from kvsim.errors import Exit, KvsimError
from kvsim.process import exec_wrappers, identity
from kvsim.process.child import ExitStatus
from kvsim.process.executable import Cause, SpawnError
from kvsim.process.spawn import SpawnPlan, explain_early_end, spawn
from kvsim.waiting import Deadline
from tests.process_fixtures import PYTHON, SLEEP, eventually

ROOT = str(Path(__file__).parents[2])


def end_of(child, timeout_s: float = 10.0) -> ExitStatus | None:
    return child.wait(Deadline.after(timeout_s))


def test_it_leads_its_own_session_and_group(processes) -> None:
    child = processes.python("import os; print(os.getpid(), os.getpgrp(), os.getsid(0))")
    assert end_of(child) == ExitStatus(code=0)
    assert processes.output().split() == [str(child.pid)] * 3


def test_output_is_appended_and_input_is_empty(processes) -> None:
    processes.log.write_text("### before\n")
    child = processes.python(
        "import sys; print(repr(sys.stdin.read())); print('err', file=sys.stderr)"
    )
    assert end_of(child) == ExitStatus(code=0)
    assert processes.output() == "### before\n''\nerr\n"


def test_stderr_in_its_own_file(processes, tmp_path) -> None:
    child = processes.python("import sys; print('oops', file=sys.stderr)", stderr=tmp_path / "err")
    assert end_of(child) == ExitStatus(code=0)
    assert (processes.output(), (tmp_path / "err").read_text()) == ("", "oops\n")


def test_no_open_file_of_kvsim_is_inherited(processes, tmp_path) -> None:
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        child = processes.python("import os; print(len(os.listdir('/proc/self/fd')))")
        end_of(child)
    # 0, 1, 2 and the listing itself.
    assert processes.output() == "4\n"


def test_no_core_file_and_our_own_limit_is_untouched(processes) -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    child = processes.python("import resource; print(resource.getrlimit(resource.RLIMIT_CORE)[0])")
    end_of(child)
    assert processes.output() == "0\n"
    assert resource.getrlimit(resource.RLIMIT_CORE) == before


def test_limits(processes) -> None:
    code = (
        "from resource import *; print(getrlimit(RLIMIT_NOFILE)[0]); "
        "open('big', 'wb').write(bytes(9999))"
    )
    child = processes.python(code, limits={"nofile": 77, "fsize": 5000})
    assert end_of(child).code == 1
    assert "77" in processes.output()
    assert "File too large" in processes.output()


def test_a_signal_ignored_by_us_is_not_ignored_by_the_node(processes) -> None:
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = processes.run("sleep", "60")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, old)
    child.identity.signal(signal.SIGINT)
    assert end_of(child) == ExitStatus(signal=signal.SIGINT)


def test_only_from_the_main_thread(processes) -> None:
    caught: list[BaseException] = []

    def work() -> None:
        try:
            processes.run("true")
        except KvsimError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])
    assert processes.started == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root may change user")
def test_as_another_user(processes) -> None:
    child = processes.run("id", "-un", user="nobody")
    assert end_of(child) == ExitStatus(code=0)
    assert processes.output() == "nobody\n"


@pytest.mark.skipif(not shutil.which("stdbuf"), reason="needs stdbuf")
@pytest.mark.parametrize("how", [{"line_buffered": True}, {"pty": True}])
def test_a_buffering_program_writes_each_line_at_once(processes, tmp_path, how) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    child = processes.run("cut", "-c1-", str(pipe), **how)
    with pipe.open("w") as end:
        end.write("ready\n")
        end.flush()
        eventually(lambda: processes.output() == "ready\n", "the line")
        assert child.poll() is None


def test_a_terminal_for_programs_that_ask_for_one(processes) -> None:
    child = processes.python(
        "import sys; print(sys.stdout.isatty(), sys.stderr.isatty()); print('last words', end='')",
        pty=True,
    )
    assert end_of(child) == ExitStatus(code=0)
    assert child.drained(Deadline.after(180))
    assert processes.output() == "True True\nlast words"


# --- programs that cannot be started


def script(path: Path, content: bytes, mode: int = 0o755) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def elf(machine: int = 183, kind: int = 2, size: int = 64) -> bytes:
    return (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + kind.to_bytes(2, "little")
        + machine.to_bytes(2, "little")
    ).ljust(size, b"\0")


NOT_RUNNABLE = {
    "missing": (None, Cause.MISSING, "no such file"),
    "folder": ("folder", Cause.DIRECTORY, "is a directory"),
    "plain": ((b"#!/bin/sh\n", 0o644), Cause.FORBIDDEN, "not executable"),
    "empty": ((b"", 0o755), Cause.FORMAT, "is empty"),
    "text": ((b"hello\n", 0o755), Cause.FORMAT, "#! line"),
    "script": (
        (b"#!/no/such/interpreter -x\n", 0o755),
        Cause.INTERPRETER,
        "/no/such/interpreter, which does not exist",
    ),
    "windows": ((b"#!/bin/sh\r\n", 0o755), Cause.INTERPRETER, "Windows line ends"),
    "bare": ((b"#!\n", 0o755), Cause.INTERPRETER, "names no interpreter"),
    "object": ((elf(machine=62, kind=1), 0o755), Cause.FORMAT, "object file"),
    "short": ((elf(size=20)[:20], 0o755), Cause.FORMAT, "cut short"),
}


@pytest.mark.parametrize("name", NOT_RUNNABLE)
def test_one_clear_sentence_for_a_program_that_cannot_run(processes, tmp_path, name: str) -> None:
    content, cause, message = NOT_RUNNABLE[name]
    if content == "folder":
        (tmp_path / name).mkdir()
    elif content is not None:
        script(tmp_path / name, *content)
    with pytest.raises(SpawnError) as caught:
        processes.run(f"./{name}")
    assert caught.value.cause is cause
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"cannot start ./{name}: ")
    assert "\n" not in str(caught.value)
    assert caught.value.exit is Exit.USAGE


@pytest.mark.parametrize("wrapped", [False, True])
def test_another_machines_program_is_named_when_the_kernel_refuses_it(
    processes, tmp_path, wrapped
) -> None:
    """The kernel decides: kvsim may run under a personality that hides what it can run."""
    script(tmp_path / "store", elf(machine=8))
    plan = processes.plan("./store", die_with_parent=wrapped)
    try:
        error = explain_early_end(plan, end_of(processes.run("./store", die_with_parent=wrapped)))
    except SpawnError as refused:
        error = refused
    assert error is not None and error.cause is Cause.FORMAT
    assert "store is built for machine type 8, this machine is " in str(error)


def test_a_bare_name_is_found_on_the_path_of_the_child(processes, tmp_path) -> None:
    script(tmp_path / "tool", b"#!/bin/sh\necho found $1\n")
    with pytest.raises(SpawnError, match=r"write \./tool") as caught:
        processes.run("tool")
    assert caught.value.cause is Cause.MISSING
    child = processes.run("tool", "it", env={"PATH": f"/nowhere:{tmp_path}"})
    assert end_of(child) == ExitStatus(code=0)
    assert processes.output() == "found it\n"


@pytest.mark.skipif(os.getuid() == 0, reason="root may enter every folder")
def test_a_folder_of_path_that_we_may_not_enter_is_skipped(processes, tmp_path) -> None:
    (tmp_path / "shut").mkdir(mode=0o000)
    child = processes.run("true", env={"PATH": f"{tmp_path / 'shut'}:/usr/bin:/bin"})
    assert end_of(child) == ExitStatus(code=0)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"cwd": Path("/no/such/folder")}, Cause.WORKDIR),
        ({"user": "no-such-user"}, Cause.USER),
        ({"limits": {"patience": 1}}, Cause.SYSTEM),
        ({"argv": ("sleep", "a\0b")}, Cause.SYSTEM),
        ({"argv": ()}, Cause.MISSING),
        ({"pty": True, "stderr": Path("/dev/null")}, Cause.SYSTEM),
    ],
)
def test_bad_plans(processes, changes, cause) -> None:
    with pytest.raises(SpawnError) as caught:
        processes.started.append(spawn(processes.plan(**{"argv": ("sleep", "60"), **changes})))
    assert caught.value.cause is cause


def test_a_missing_helper_program_is_named(processes, monkeypatch) -> None:
    monkeypatch.setattr(exec_wrappers, "tool", lambda name: None)
    with pytest.raises(SpawnError, match="linebuf needs the program stdbuf") as caught:
        processes.run("true", line_buffered=True)
    assert caught.value.cause is Cause.TOOL


def test_a_missing_shared_library_is_distinguished_from_an_exit_status(processes, tmp_path) -> None:
    program = tmp_path / "store"
    real = Path("/bin/true").read_bytes()
    if b"libc.so.6\0" not in real:
        pytest.skip("true is linked statically here")
    script(program, real.replace(b"libc.so.6\0", b"libq.so.9\0"))
    plan = processes.plan("./store")
    child = processes.run("./store")
    status = end_of(child)
    assert status == ExitStatus(code=127)
    error = explain_early_end(plan, status)
    assert error is not None
    assert error.cause is Cause.LIBRARY
    assert "libq.so.9" in str(error)


def test_a_program_that_exits_127_itself_started_well(processes) -> None:
    child = processes.python("import sys; sys.exit(127)")
    assert explain_early_end(processes.plan("x"), end_of(child)) is None


def test_a_script_whose_own_command_is_missing_started_well(processes) -> None:
    child = processes.run("sh", "-c", "cat /no/such/file; exit 3")
    assert explain_early_end(processes.plan("x"), end_of(child)) is None


# --- dying with kvsim

HARNESS = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from kvsim.process import exec_wrappers
from kvsim.process.spawn import SpawnPlan, spawn
if sys.argv[2] == "shim":
    exec_wrappers.tool = lambda name: None
folder = Path(sys.argv[4])
env = {"PATH": "/usr/bin:/bin"}
dies = sys.argv[3] == "yes"
child = spawn(SpawnPlan(("sleep", "60"), folder, env, folder / "out", die_with_parent=dies))
while Path(f"/proc/{child.pid}/comm").read_text() != "sleep\\n":
    time.sleep(0.002)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("wrapper", "dies"), [("setpriv", "yes"), ("shim", "yes"), ("setpriv", "no")]
)
def test_it_dies_with_us_even_when_we_are_killed(tmp_path, wrapper: str, dies: str) -> None:
    if wrapper == "setpriv" and not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    argv = [sys.executable, "-I", "-c", HARNESS, ROOT, wrapper, dies, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as harness:
        assert harness.stdout
        process = identity.identify(int(harness.stdout.readline()))
        assert process
        harness.kill()
    if dies == "yes":
        eventually(lambda: not process.alive(), "its end")
    else:
        assert process.alive()
        process.signal(signal.SIGKILL)
        eventually(lambda: not process.alive(), "its end")
    # We are the subreaper.
    os.waitpid(process.pid, 0)


# --- statuses


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit(3)", "exited with status 3"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
        ("import os; os.kill(os.getpid(), 40)", "was killed by signal 40"),
    ],
)
def test_how_it_ended_in_words(processes, code: str, words: str) -> None:
    child = processes.python(code)
    assert end_of(child).describe() == words
    assert child.poll() is end_of(child)  # asked again, the same answer


def test_a_status_that_another_reaper_took_is_unknown(processes) -> None:
    child = processes.python("pass")
    eventually(lambda: child.identity.state() == "Z")
    os.waitpid(child.pid, 0)
    assert child.poll() == ExitStatus()
    assert "status unknown" in child.poll().describe()


def test_other_popen_objects_never_take_our_status(processes) -> None:
    child = processes.python("import sys; sys.exit(7)")
    eventually(lambda: child.identity.state() == "Z")
    subprocess.run(["true"], check=True)
    assert child.poll() == ExitStatus(code=7)


def test_a_wait_ends_at_its_deadline(processes) -> None:
    child = processes.python(SLEEP)
    assert child.wait(Deadline.after(0.02)) is None
    assert PYTHON[0] in child.argv[0]
    assert isinstance(processes.plan("x"), SpawnPlan)
