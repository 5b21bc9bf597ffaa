"""Starting one process: where it stands, what it inherits, and why it cannot be started."""

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
from kvsim.process import identity, wrap
from kvsim.process.child import Ended
from kvsim.process.executable import Cause, SpawnError
from kvsim.process.spawn import Plan, explain_early_end, spawn
from kvsim.waiting import Deadline
from tests.process.stage import PYTHON, SLEEP, soon

ROOT = str(Path(__file__).parents[2])


def ended(child, within_s: float = 10.0) -> Ended | None:
    return child.wait(Deadline.after(within_s))


def test_it_leads_its_own_session_and_group(stage) -> None:
    child = stage.python("import os; print(os.getpid(), os.getpgrp(), os.getsid(0))")
    assert ended(child) == Ended(status=0)
    assert stage.said().split() == [str(child.pid)] * 3
    assert child.pgid == child.pid


def test_output_is_appended_and_input_is_empty(stage) -> None:
    stage.log.write_text("### before\n")
    child = stage.python("import sys; print(repr(sys.stdin.read())); print('err', file=sys.stderr)")
    assert ended(child) == Ended(status=0)
    assert stage.said() == "### before\n''\nerr\n"


def test_stderr_in_its_own_file(stage, tmp_path) -> None:
    child = stage.python("import sys; print('oops', file=sys.stderr)", stderr=tmp_path / "err")
    assert ended(child) == Ended(status=0)
    assert (stage.said(), (tmp_path / "err").read_text()) == ("", "oops\n")


def test_no_open_file_of_ours_is_inherited(stage, tmp_path) -> None:
    with (tmp_path / "secret").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        child = stage.python("import os; print(len(os.listdir('/proc/self/fd')))")
        ended(child)
    assert stage.said() == "4\n"  # 0, 1, 2 and the listing itself


def test_no_core_file_and_our_own_limit_is_untouched(stage) -> None:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    child = stage.python("import resource; print(resource.getrlimit(resource.RLIMIT_CORE)[0])")
    ended(child)
    assert stage.said() == "0\n"
    assert resource.getrlimit(resource.RLIMIT_CORE) == before


def test_limits(stage) -> None:
    code = "from resource import *; print(getrlimit(RLIMIT_NOFILE)[0]); open('big', 'wb').write(bytes(9999))"
    child = stage.python(code, limits={"nofile": 77, "fsize": 5000})
    assert ended(child).status == 1
    assert "77" in stage.said()
    assert "File too large" in stage.said()


def test_a_signal_ignored_by_us_is_not_ignored_by_the_node(stage) -> None:
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = stage.run("sleep", "60")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, old)
    child.identity.signal(signal.SIGINT)
    assert ended(child) == Ended(signal=signal.SIGINT)


def test_only_from_the_main_thread(stage) -> None:
    caught: list[BaseException] = []

    def work() -> None:
        try:
            stage.run("true")
        except KvsimError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert "main thread" in str(caught[0])
    assert stage.started == []


@pytest.mark.skipif(os.getuid() != 0, reason="only root may change user")
def test_as_another_user(stage) -> None:
    child = stage.run("id", "-un", user="nobody")
    assert ended(child) == Ended(status=0)
    assert stage.said() == "nobody\n"


@pytest.mark.skipif(not shutil.which("stdbuf"), reason="needs stdbuf")
@pytest.mark.parametrize("how", [{"line_buffered": True}, {"pty": True}])
def test_lines_leave_a_buffering_program_at_once(stage, tmp_path, how) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    child = stage.run("cut", "-c1-", str(pipe), **how)
    with pipe.open("w") as end:
        end.write("ready\n")
        end.flush()
        soon(lambda: stage.said() == "ready\n", "the line")
        assert child.poll() is None


def test_a_terminal_for_programs_that_ask_for_one(stage) -> None:
    child = stage.python(
        "import sys; print(sys.stdout.isatty(), sys.stderr.isatty()); print('last words', end='')", pty=True
    )
    assert ended(child) == Ended(status=0)
    assert child.drained(Deadline.after(10))
    assert stage.said() == "True True\nlast words"


# --- what cannot be started


def script(path: Path, content: bytes, mode: int = 0o755) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def elf(machine: int = 183, kind: int = 2, size: int = 64) -> bytes:
    return (
        b"\x7fELF\x02\x01\x01" + bytes(9) + kind.to_bytes(2, "little") + machine.to_bytes(2, "little")
    ).ljust(size, b"\0")


CANNOT = {
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
    "foreign": ((elf(machine=8), 0o755), Cause.FORMAT, "built for machine type 8"),
    "object": ((elf(machine=62, kind=1), 0o755), Cause.FORMAT, "object file"),
    "short": ((elf(size=20)[:20], 0o755), Cause.FORMAT, "cut short"),
}


@pytest.mark.parametrize("name", CANNOT)
def test_one_clear_sentence_for_what_cannot_run(stage, tmp_path, name: str, monkeypatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    content, cause, words = CANNOT[name]
    if content == "folder":
        (tmp_path / name).mkdir()
    elif content is not None:
        script(tmp_path / name, *content)
    with pytest.raises(SpawnError) as caught:
        stage.run(f"./{name}")
    assert caught.value.cause is cause
    assert words in str(caught.value)
    assert str(caught.value).startswith(f"cannot start ./{name}: ")
    assert "\n" not in str(caught.value)
    assert caught.value.exit is Exit.USAGE


def test_a_bare_name_is_looked_up_in_the_childs_own_path(stage, tmp_path) -> None:
    script(tmp_path / "tool", b"#!/bin/sh\necho found $1\n")
    with pytest.raises(SpawnError, match=r"write \./tool") as caught:
        stage.run("tool")
    assert caught.value.cause is Cause.MISSING
    child = stage.run("tool", "it", env={"PATH": f"/nowhere:{tmp_path}"})
    assert ended(child) == Ended(status=0)
    assert stage.said() == "found it\n"


@pytest.mark.skipif(os.getuid() == 0, reason="root may enter every folder")
def test_a_folder_of_path_that_we_may_not_enter_is_passed_over(stage, tmp_path) -> None:
    (tmp_path / "shut").mkdir(mode=0o000)
    child = stage.run("true", env={"PATH": f"{tmp_path / 'shut'}:/usr/bin:/bin"})
    assert ended(child) == Ended(status=0)


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
def test_bad_plans(stage, changes, cause) -> None:
    with pytest.raises(SpawnError) as caught:
        stage.started.append(spawn(stage.plan(**{"argv": ("sleep", "60"), **changes})))
    assert caught.value.cause is cause


def test_a_missing_helper_program_is_named(stage, monkeypatch) -> None:
    monkeypatch.setattr(wrap, "tool", lambda name: None)
    with pytest.raises(SpawnError, match="linebuf needs the program stdbuf") as caught:
        stage.run("true", line_buffered=True)
    assert caught.value.cause is Cause.TOOL


def test_a_missing_shared_library_is_told_from_an_exit_status(stage, tmp_path) -> None:
    program = tmp_path / "store"
    real = Path("/bin/true").read_bytes()
    if b"libc.so.6\0" not in real:
        pytest.skip("true is linked statically here")
    script(program, real.replace(b"libc.so.6\0", b"libq.so.9\0"))
    plan = stage.plan("./store")
    child = stage.run("./store")
    status = ended(child)
    assert status == Ended(status=127)
    error = explain_early_end(plan, status)
    assert error is not None
    assert error.cause is Cause.LIBRARY
    assert "libq.so.9" in str(error)


def test_a_program_that_exits_127_itself_started_well(stage) -> None:
    child = stage.python("import sys; sys.exit(127)")
    assert explain_early_end(stage.plan("x"), ended(child)) is None


def test_a_script_whose_own_command_is_missing_started_well(stage) -> None:
    child = stage.run("sh", "-c", "cat /no/such/file; exit 3")
    assert explain_early_end(stage.plan("x"), ended(child)) is None


# --- dying with kvsim

HARNESS = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from kvsim.process import wrap
from kvsim.process.spawn import Plan, spawn
if sys.argv[2] == "shim":
    wrap.tool = lambda name: None
folder = Path(sys.argv[4])
env = {"PATH": "/usr/bin:/bin"}
child = spawn(Plan(("sleep", "60"), folder, env, folder / "out", die_with_parent=sys.argv[3] == "yes"))
while Path(f"/proc/{child.pid}/comm").read_text() != "sleep\\n":
    time.sleep(0.002)
print(child.pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(("way", "dies"), [("setpriv", "yes"), ("shim", "yes"), ("setpriv", "no")])
def test_it_dies_with_us_even_when_we_are_killed(tmp_path, way: str, dies: str) -> None:
    if way == "setpriv" and not shutil.which("setpriv"):
        pytest.skip("needs setpriv")
    argv = [sys.executable, "-I", "-S", "-c", HARNESS, ROOT, way, dies, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as harness:
        assert harness.stdout
        one = identity.of(int(harness.stdout.readline()))
        assert one
        harness.kill()
    if dies == "yes":
        soon(lambda: not one.alive(), "its end")
    else:
        assert one.alive()
        one.signal(signal.SIGKILL)
        soon(lambda: not one.alive(), "its end")
    os.waitpid(one.pid, 0)  # we are the subreaper


# --- statuses


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import sys; sys.exit(3)", "exited with status 3"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by SIGKILL"),
        ("import os; os.kill(os.getpid(), 40)", "was killed by signal 40"),
    ],
)
def test_how_it_ended_in_words(stage, code: str, words: str) -> None:
    child = stage.python(code)
    assert ended(child).describe() == words
    assert child.poll() is ended(child)  # asked again, the same answer


def test_a_status_that_somebody_else_took_is_unknown(stage) -> None:
    child = stage.python("pass")
    soon(lambda: child.identity.state() == "Z")
    os.waitpid(child.pid, 0)
    assert child.poll() == Ended()
    assert "status unknown" in child.poll().describe()


def test_other_popen_objects_never_take_our_status(stage) -> None:
    child = stage.python("import sys; sys.exit(7)")
    soon(lambda: child.identity.state() == "Z")
    subprocess.run(["true"], check=True)
    assert child.poll() == Ended(status=7)


def test_a_wait_ends_at_its_deadline(stage) -> None:
    child = stage.python(SLEEP)
    assert child.wait(Deadline.after(0.02)) is None
    assert PYTHON[0] in child.argv[0]
    assert isinstance(stage.plan("x"), Plan)
