"""Programs that write or sync past the C library are found, and not accused."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from kvsim.faults.power.disk_recording import DiskRecording
from kvsim.faults.power.followed import (
    KERNEL_CALLS,
    has_kernel_call,
    has_sync,
    is_clean,
    is_dirty,
    write_unsynced,
)
from kvsim.faults.preload.control import PreloadControl
from kvsim.faults.preload.shared_memory import RECORD_BIT
from kvsim.process.identity import identify
from tests.faults.preload.conftest import built, preloaded

__all__ = ["built", "preloaded"]

RAW = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#ifdef __x86_64__
static ALWAYS long raw(long number, long a, long b, long c) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c)
                     : "rcx", "r11", "memory");
    return result;
}
#else
static ALWAYS long raw(long number, long a, long b, long c) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b, x2 __asm__("x2") = c;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}
#endif
int main(int count, char **words) {
    char path[4096];
    (void)count;
    chdir(words[1]);
    int fd = open("f", O_RDWR | O_CREAT, 0644);
    RUN
    write(1, "ready\n", 6);
    for (;;) pause();
}
"""
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
INLINE, CALLED = "inline __attribute__((always_inline))", "__attribute__((noinline))"
RAW_SYNC = 'write(fd, "abc", 3); raw(SYS_fsync, fd, 0, 0);'
RAW_WRITE = 'raw(SYS_write, fd, (long)"abc", 3); fsync(fd);'
IO_URING = (
    'static char parameters[4096]; write(fd, "abc", 3); syscall(SYS_io_uring_setup, 1, parameters);'
)


@pytest.fixture
def recording(preloaded):
    recording = DiskRecording(preloaded.page.path.with_suffix(".record"), preloaded.data)
    with recording.preparing():
        preloaded.page.switch(on=RECORD_BIT)
    return recording


def kernel_tells(folder):
    """Whether the kernel says which files it has still to write, in this file system."""
    write_unsynced(folder / "unsynced")
    return is_dirty(folder / "unsynced")


@contextmanager
def running(preloaded, words, control=None):
    """The program, which has said that it is ready; why its power cannot be cut."""
    process = subprocess.Popen([*words, preloaded.data], env=preloaded.env, text=True, **PIPES)
    control = control or PreloadControl(Path(preloaded.env["LD_PRELOAD"]), {})
    try:
        assert process.stdout.readline() == "ready\n"
        found = identify(process.pid)
        if control.recordings:
            control.find_own_calls("n1", [found], preloaded.data)
        yield control.why_not_recorded([found], preloaded.data)
    finally:
        process.kill()
        process.communicate()


def source(run, how=INLINE):
    return RAW.replace("ALWAYS", how).replace("RUN", run)


def test_a_sync_by_the_program_itself_is_found_before_the_power_is_cut(preloaded, tmp_path):
    program = preloaded.program(source(RAW_SYNC), tmp_path, "-O1", "-w")
    with running(preloaded, [program]) as why:
        assert why == "program calls the kernel to sync without the C library"


def test_a_sync_that_is_not_found_in_the_code_is_found_in_the_cache(preloaded, recording, tmp_path):
    if not kernel_tells(tmp_path):
        pytest.skip("the kernel does not tell which pages are not written")
    program = preloaded.program(source(RAW_SYNC, CALLED), tmp_path, "-O0", "-w")
    with running(preloaded, [program]) as why:
        assert why is None
    disk = recording.settle()
    recording.find_unseen_syncs()
    if not recording._kernel_tells():
        pytest.skip("something has synced the whole file system meanwhile")
    assert disk.not_followed == ["the kernel has written f to the disk, and no sync of it was seen"]


@pytest.mark.parametrize(("how", "is_followed"), [(CALLED, False), (None, True)])
def test_a_file_without_a_sync_is_not_followed_where_code_calls_the_kernel_by_itself(
    preloaded, recording, tmp_path, how, is_followed
):
    code = 'write(fd, "abc", 3);' if how is None else RAW_SYNC
    text = source(code, how or CALLED)
    if how is None:
        text = text[: text.index("#ifdef __x86_64__")] + text[text.index("int main") :]
    program = preloaded.program(text, tmp_path, "-O0", "-w")
    control = PreloadControl(Path(preloaded.env["LD_PRELOAD"]), {}, {"n1": recording})
    with running(preloaded, [program], control) as why:
        assert why is None
    disk = recording.settle()
    recording.find_unseen_syncs()
    assert (disk.not_followed == []) is is_followed
    assert is_followed or "has instructions of its own that call the kernel" in disk.not_followed[0]


@pytest.mark.parametrize("sync", ["", "fsync(fd);", "fsync(fd); write(fd, words, 3);"])
def test_a_program_that_the_record_can_follow_is_not_held_back(
    preloaded, recording, tmp_path, sync
):
    program = preloaded.program(source(f'write(fd, "abc", 3); {sync}'), tmp_path, "-w")
    with running(preloaded, [program]) as why:
        assert why is None
    disk = recording.settle()
    recording.find_unseen_syncs()
    assert disk.not_followed == []


def test_a_write_by_the_program_itself_is_found_in_the_file(preloaded, recording, tmp_path):
    program = preloaded.program(source(RAW_WRITE), tmp_path, "-O1", "-w")
    with running(preloaded, [program]):
        pass
    (reason,) = recording.settle().not_followed
    assert reason == "f has other bytes from 0 on than were seen (3 bytes, 0 seen)"


def test_io_uring_is_found_before_the_power_is_cut(preloaded, tmp_path):
    program = preloaded.program(source(IO_URING), tmp_path, "-w")
    with running(preloaded, [program]) as why:
        if why is None:
            pytest.skip("the kernel forbids io_uring")
        assert why == "it writes through io_uring, which makes no calls"


def test_a_static_program_is_found_before_the_power_is_cut(preloaded, tmp_path):
    try:
        program = preloaded.program(source("fsync(fd);"), tmp_path, "-static", "-w")
    except subprocess.CalledProcessError:
        pytest.skip("no static C library")
    with running(preloaded, [program]) as why:
        assert why.startswith("program did not load the library: it is statically linked")


GO = """package main
import ("fmt"; "os")
func main() {
	os.Chdir(os.Args[1])
	file, _ := os.Create("f")
	file.WriteString("abc")
	file.Sync()
	fmt.Println("ready")
	select {}
}
"""


@pytest.mark.slow
def test_a_go_program_is_found_before_the_power_is_cut(preloaded, tmp_path):
    if shutil.which("go") is None:
        pytest.skip("no Go compiler")
    (tmp_path / "main.go").write_text(GO.replace("select {}", "os.Stdin.Read(make([]byte, 1))"))
    subprocess.run(
        ["go", "build", "-o", "program", "main.go"],
        cwd=tmp_path,
        env={**preloaded.env, "LD_PRELOAD": "", "GOFLAGS": "-mod=mod", "GO111MODULE": "off"},
        check=True,
        timeout=300,
    )
    process = [tmp_path / "program"]
    with running(preloaded, process) as why:
        assert why == "program is a Go program, which calls the kernel without the C library"


@pytest.mark.parametrize(
    ("code", "machine", "found"),
    [
        (b"\xb8\x4a\x00\x00\x00\x89\xdf\x0f\x05", "x86_64", True),
        (b"\xb8\x4a\x00\x00\x00" + bytes(100) + b"\x0f\x05", "x86_64", False),
        (b"\xb8\x01\x00\x00\x00\x0f\x05", "x86_64", False),
        (b"\x48\x0a\x80\x52\x01\x00\x00\xd4", "aarch64", True),
        (b"\xb8\x4a\x00\x00\x00\x0f\x05", "riscv64", False),
    ],
)
def test_a_sync_is_a_number_and_soon_after_it_the_call(code, machine, found):
    assert has_sync(code, machine) is found


@pytest.mark.parametrize("machine", sorted(KERNEL_CALLS))
def test_an_instruction_that_calls_the_kernel_is_known_by_what_is_around_it(machine):
    call = {"x86_64": b"\x0f\x05\x48\x3d\x01\xf0\xff\xff", "aarch64": b"\x01\x00\x00\xd4"}
    assert has_kernel_call(b"\x90" + call[machine], machine)
    assert not has_kernel_call(b"\x90\x0f\x05\x00", machine)
    assert has_kernel_call(b"", "riscv64")


def test_a_file_that_is_not_there_tells_nothing(tmp_path):
    assert is_clean(tmp_path / "none") is None
