"""The preloaded library in small processes: what each rule does to each call, and to no other."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from kvsim.faults.preload.build import NotBuilt, build_library
from kvsim.faults.preload.control import is_go, why_unreachable
from kvsim.faults.preload.shared_memory import (
    CLOCK_BIT,
    CLOCK_COUNTERS,
    COUNTERS,
    DISK_BIT,
    WATCH_BIT,
)

CALLS = """
fd = os.open(data + "/f", os.O_RDWR | os.O_CREAT)
other = os.open(data + "-beside", os.O_RDWR | os.O_CREAT)
calls = {
    "write": lambda: os.write(fd, b"abc"),
    "pwrite": lambda: os.pwrite(fd, b"abc", 8),
    "writev": lambda: os.writev(fd, [b"", b"abc"]),
    "pwritev": lambda: os.pwritev(fd, [b"abc"], 8),
    "posix_fallocate": lambda: os.posix_fallocate(fd, 0, 100),
    "ftruncate": lambda: os.ftruncate(fd, 100),
    "fsync": lambda: os.fsync(fd),
    "fdatasync": lambda: os.fdatasync(fd),
    "beside": lambda: os.write(other, b"abc"),
    "pipe": lambda: os.write(os.pipe()[1], b"abc"),
}
print({name: result_of(call) for name, call in calls.items()})
"""
WRITES = ("write", "pwrite", "writev", "pwritev", "posix_fallocate", "ftruncate")
SYNCS = ("fsync", "fdatasync")


@pytest.mark.parametrize(
    ("words", "refused", "error"),
    [
        ({"how": "full"}, WRITES, "ENOSPC"),
        ({"how": "failing"}, WRITES + SYNCS, "EIO"),
        ({"how": "failing", "calls": ("write",)}, WRITES, "EIO"),
        ({"how": "failing", "calls": ("sync",)}, SYNCS, "EIO"),
        ({"how": "slow", "delay_s": 0.001}, (), ""),
    ],
    ids=["full", "failing", "failing writes", "failing syncs", "slow"],
)
def test_a_rule_refuses_its_calls_below_the_data_directory_and_no_others(
    preloaded, rule, words, refused, error
):
    (preloaded.data / "f").touch()
    preloaded.page.begin(DISK_BIT, rule(**words), COUNTERS)
    results = eval(preloaded.python(CALLS))
    assert {name for name, result in results.items() if isinstance(result, str)} == set(refused)
    assert {results[name] for name in refused} <= {error}
    counted = preloaded.page["writes_refused"], preloaded.page["syncs_refused"]
    assert counted == (len(set(WRITES) & set(refused)), len(set(SYNCS) & set(refused)))


def test_without_a_rule_nothing_is_refused_or_counted(preloaded):
    results = eval(preloaded.python(CALLS))
    assert not any(isinstance(result, str) for result in results.values())
    assert [preloaded.page[name] for name in COUNTERS] == [0] * len(COUNTERS)


def test_a_full_disk_accepts_writes_up_to_the_end_of_the_file(preloaded, rule):
    (preloaded.data / "f").write_bytes(bytes(100))
    preloaded.page.begin(DISK_BIT, rule("full"), COUNTERS)
    results = preloaded.python(
        'fd = os.open(data + "/f", os.O_RDWR)\n'
        'print(os.pwrite(fd, b"abcd", 0), os.pwrite(fd, b"abcd", 98),'
        ' os.pwritev(fd, [b"ab", b"cd"], 99),'
        ' result_of(os.pwrite, fd, b"a", 100),'
        ' result_of(os.open, data + "/new", os.O_RDWR | os.O_CREAT))'
    )
    assert results.split() == ["4", "2", "1", "ENOSPC", "ENOSPC"]


def test_the_rule_holds_for_threads_children_copies_and_renamed_files(preloaded, rule):
    preloaded.page.begin(DISK_BIT, rule("failing", calls=("write",)), COUNTERS)
    results = preloaded.python(
        'fd = os.open(data + "/f", os.O_RDWR | os.O_CREAT)\n'
        "copy, results = os.dup(fd), []\n"
        'os.rename(data + "/f", data + "/g")\n'
        'write = lambda: results.append(result_of(os.write, copy, b"a"))\n'
        "thread = threading.Thread(target=write)\n"
        "thread.start(), thread.join()\n"
        "child = os.fork()\n"
        'child or os._exit(result_of(os.write, fd, b"a") == "EIO")\n'
        "results.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "os.unlink(data + '/g')\n"
        "print(*results, result_of(os.write, fd, b'a'))"
    )
    assert results.split() == ["EIO", "1", "EIO"]


def test_the_seed_draws_which_calls_fail(preloaded, rule):
    def drawn(seed: int) -> str:
        preloaded.page.begin(
            DISK_BIT, rule("failing", calls=("sync",), percent=30, seed=seed), COUNTERS
        )
        return preloaded.python(
            'fd = os.open(data + "/f", os.O_RDWR | os.O_CREAT)\n'
            'print("".join("x" if result_of(os.fsync, fd) else "." for _ in range(200)))'
        )

    assert drawn(1) == drawn(1) != drawn(2)
    assert 30 < drawn(1).count("x") < 90
    assert preloaded.page["syncs_offered"] == 200


def test_a_slow_disk_holds_every_sync(preloaded, rule):
    preloaded.page.begin(DISK_BIT, rule("slow", delay_s=0.02), COUNTERS)
    preloaded.python(
        'fd = os.open(data + "/f", os.O_RDWR | os.O_CREAT)\n'
        'os.fsync(fd), os.fdatasync(fd), os.write(fd, b"a")'
    )
    assert preloaded.page["syncs_delayed"] == 2
    assert preloaded.page["delayed_ns"] >= 2 * 20_000_000


def test_calls_that_succeed_are_counted_while_they_are_watched(preloaded):
    preloaded.page.switch(on=WATCH_BIT)
    preloaded.python(
        'fd = os.open(data + "/f", os.O_RDWR | os.O_CREAT)\nos.write(fd, b"a"), os.fsync(fd)'
    )
    assert preloaded.page["succeeded"] == 2


STREAM = r"""
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int count, char **words) {
    char path[4096], big[20000];
    snprintf(path, sizeof path, "%s/f", words[count - 1]);
    FILE *file = fopen(path, "a");
    memset(big, 'x', sizeof big);
    printf("%d ", fprintf(file, "a %s\n", "line") > 0);
    int flushed = fflush(file);
    printf("%d %d %d ", flushed, errno, ferror(file) != 0);
    printf("%d ", (int)fwrite(big, 1, sizeof big, file));
    printf("%d %d\n", fclose(file), errno);
}
"""


def test_streams_of_stdio_fail_when_they_write(preloaded, rule, tmp_path):
    """stdio writes inside the C library, where write() cannot be replaced."""
    program = preloaded.program(STREAM, tmp_path)
    preloaded.page.begin(DISK_BIT, rule("full"), COUNTERS)
    done = subprocess.run(
        [program, preloaded.data], env=preloaded.env, capture_output=True, text=True, timeout=180
    )
    # A stream discards what it could not write, so fclose has nothing left to write.
    assert done.stdout == "1 -1 28 1 0 0 28\n"
    assert (preloaded.data / "f").read_bytes() == b""
    preloaded.page.switch(off=DISK_BIT)
    done = subprocess.run(
        [program, preloaded.data], env=preloaded.env, capture_output=True, text=True, timeout=180
    )
    assert done.stdout.split()[:2] == ["1", "0"] and (preloaded.data / "f").stat().st_size == 20007


# --- the clock --------------------------------------------------------------------------------

TIMES = "print(time.time(), time.clock_gettime(time.CLOCK_MONOTONIC))"


@pytest.mark.parametrize("by_s", [30, -30, -0.5])
def test_the_wall_clock_is_moved_and_the_monotonic_clock_is_not(preloaded, by_s):
    rule = {
        "clock_offset_ns": int(by_s * 1e9),
        "clock_anchor_ns": time.time_ns(),
        "clock_extra_ppb": 0,
    }
    preloaded.page.begin(CLOCK_BIT, rule, CLOCK_COUNTERS)
    before = time.time(), time.monotonic()
    wall, monotonic = map(float, preloaded.python(TIMES).split())
    after = time.time(), time.monotonic()
    assert before[0] <= wall - by_s <= after[0] and before[1] <= monotonic <= after[1]
    assert preloaded.page["clock_reads"] >= 1
    assert (preloaded.page["clock_reported_ns"] - preloaded.page["clock_real_ns"]) / 1e9 == by_s


def test_a_clock_that_runs_twice_as_fast(preloaded):
    anchor_ns = time.time_ns() - 10 * 10**9
    rule = {"clock_offset_ns": 0, "clock_anchor_ns": anchor_ns, "clock_extra_ppb": 10**9}
    preloaded.page.begin(CLOCK_BIT, rule, CLOCK_COUNTERS)
    preloaded.python(TIMES)
    real_ns, reported_ns = preloaded.page["clock_real_ns"], preloaded.page["clock_reported_ns"]
    assert reported_ns - anchor_ns == 2 * (real_ns - anchor_ns)


WAITS = r"""
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <time.h>
static double waited(clockid_t clock, pthread_condattr_t *how) {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond;
    struct timespec until, from, to;
    pthread_cond_init(&cond, how);
    pthread_mutex_lock(&mutex);
    clock_gettime(clock, &until);
    until.tv_sec += 1;
    clock_gettime(CLOCK_MONOTONIC, &from);
    pthread_cond_timedwait(&cond, &mutex, &until);
    clock_gettime(CLOCK_MONOTONIC, &to);
    return to.tv_sec - from.tv_sec + (to.tv_nsec - from.tv_nsec) / 1e9;
}
int main(void) {
    pthread_condattr_t how;
    pthread_condattr_init(&how);
    double wall = waited(CLOCK_REALTIME, NULL);
    pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
    printf("%f %f\n", wall, waited(CLOCK_MONOTONIC, &how));
}
"""


def test_a_wait_of_one_second_takes_one_second_with_a_wrong_clock(preloaded, tmp_path):
    program = preloaded.program(WAITS, tmp_path, "-pthread")
    rule = {"clock_offset_ns": 60 * 10**9, "clock_anchor_ns": time.time_ns(), "clock_extra_ppb": 0}
    preloaded.page.begin(CLOCK_BIT, rule, CLOCK_COUNTERS)
    done = subprocess.run([program], env=preloaded.env, capture_output=True, text=True, timeout=180)
    assert all(0.99 <= float(seconds) < 20 for seconds in done.stdout.split()), done.stdout


# --- building it, and which processes it reaches ----------------------------------------------


def test_the_library_is_built_once_and_leaves_no_other_file(tmp_path, built):
    path = build_library(tmp_path)
    made = path.stat().st_mtime_ns
    assert build_library(tmp_path) == path and path.stat().st_mtime_ns == made
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_a_library_in_the_cache_that_is_not_what_was_built_is_built_again(tmp_path, built):
    path = build_library(tmp_path)
    as_built = path.read_bytes()
    other_machine = as_built[:18] + b"\xf3\x00" + as_built[20:]
    for damaged in (as_built[:5000], as_built[:-1], b"", other_machine, b"#!/bin/sh\n"):
        path.write_bytes(damaged)
        assert build_library(tmp_path) == path
        assert path.read_bytes() == as_built, f"{len(damaged)} bytes"
    path.unlink()
    os.mkfifo(path)
    assert build_library(tmp_path).read_bytes() == as_built


def test_without_a_compiler_the_error_names_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(
        NotBuilt, match=r"need a C compiler, and there is no cc, gcc, clang here .*apt-get install"
    ):
        build_library(tmp_path)


def test_the_error_quotes_a_compiler_that_fails(tmp_path, monkeypatch):
    broken = tmp_path / "broken-cc"
    broken.write_text("#!/bin/sh\necho no such header >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(NotBuilt, match=r"(?s)did not build .*no such header"):
        build_library(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_process_is_reached_when_it_has_loaded_the_library(preloaded, tmp_path):
    program = preloaded.program("#include <unistd.h>\nint main(void) { pause(); }\n", tmp_path)
    for env, is_reached in ((preloaded.env, True), ({}, False)):
        process = subprocess.Popen([program], env=env, stdout=subprocess.DEVNULL)
        try:
            wait_for_exec(process.pid, str(program))
            why = why_unreachable(process.pid, preloaded.library)
            assert why is None if is_reached else "did not load the library" in why
        finally:
            process.kill()
            process.wait()


def wait_for_exec(pid: int, program: str) -> None:
    from pathlib import Path

    from kvsim.waiting import Deadline, wait_until

    def settled() -> bool:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return str(Path(f"/proc/{pid}/exe").readlink()) == program and words[0] == "S"

    wait_until(settled, Deadline.after(180), f"{program} to wait")


def test_a_go_program_is_recognized_by_its_note():
    import struct

    note = struct.pack("<III", 4, 4, 4) + b"Go\0\0" + b"abcd"
    entry = struct.pack("<IIQQQQQQ", 4, 4, 120, 0, 0, len(note), len(note), 4)
    head = (
        b"\x7fELF\x02\x01\x01"
        + bytes(9)
        + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    )
    assert is_go(head + entry + note)
    assert not is_go(head + entry + note.replace(b"Go\0\0", b"GNU\0"))
    assert not is_go(b"#!/bin/sh\n") and not is_go(b"")


def test_the_library_is_built_elsewhere_when_the_cache_is_not_writable(tmp_path, built):
    closed = tmp_path / "file"
    closed.touch()
    assert build_library(closed, tmp_path / "run").parent == tmp_path / "run"
    with pytest.raises(NotBuilt, match=r"cannot be put into .*file: File exists"):
        build_library(closed)
