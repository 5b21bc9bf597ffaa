"""The preloaded library, on small processes: what each rule does to each call, and what it leaves alone."""

from __future__ import annotations

import subprocess
import time

import pytest

from kvsim.faults.preload.build import NotBuilt, library
from kvsim.faults.preload.page import CLOCK, CLOCK_COUNTERS, COUNTERS, DISK, WATCH
from kvsim.faults.preload.reach import is_go, why_not

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
print({name: tried(call) for name, call in calls.items()})
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
def test_a_rule_refuses_its_calls_below_the_data_directory_and_no_others(inside, rule, words, refused, error):
    (inside.data / "f").touch()
    inside.page.begin(DISK, rule(**words), COUNTERS)
    seen = eval(inside.python(CALLS))
    assert {name for name, result in seen.items() if isinstance(result, str)} == set(refused)
    assert {seen[name] for name in refused} <= {error}
    counted = inside.page["writes_refused"], inside.page["syncs_refused"]
    assert counted == (len(set(WRITES) & set(refused)), len(set(SYNCS) & set(refused)))


def test_without_a_rule_nothing_is_refused_and_nothing_counted(inside):
    seen = eval(inside.python(CALLS))
    assert not any(isinstance(result, str) for result in seen.values())
    assert [inside.page[name] for name in COUNTERS] == [0] * len(COUNTERS)


def test_a_full_disk_takes_what_makes_no_file_longer_and_ends_a_write_where_the_file_ends(inside, rule):
    (inside.data / "f").write_bytes(bytes(100))
    inside.page.begin(DISK, rule("full"), COUNTERS)
    seen = inside.python(
        'fd = os.open(data + "/f", os.O_RDWR)\n'
        'print(os.pwrite(fd, b"abcd", 0), os.pwrite(fd, b"abcd", 98), os.pwritev(fd, [b"ab", b"cd"], 99),'
        ' tried(os.pwrite, fd, b"a", 100), tried(os.open, data + "/new", os.O_RDWR | os.O_CREAT))'
    )
    assert seen.split() == ["4", "2", "1", "ENOSPC", "ENOSPC"]


def test_threads_children_copies_and_renamed_files_are_below_the_rule_too(inside, rule):
    inside.page.begin(DISK, rule("failing", calls=("write",)), COUNTERS)
    seen = inside.python(
        'fd = os.open(data + "/f", os.O_RDWR | os.O_CREAT)\n'
        "copy, seen = os.dup(fd), []\n"
        'os.rename(data + "/f", data + "/g")\n'
        'one = threading.Thread(target=lambda: seen.append(tried(os.write, copy, b"a")))\n'
        "one.start(), one.join()\n"
        "child = os.fork()\n"
        'child or os._exit(tried(os.write, fd, b"a") == "EIO")\n'
        "seen.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "os.unlink(data + '/g')\n"
        "print(*seen, tried(os.write, fd, b'a'))"
    )
    assert seen.split() == ["EIO", "1", "EIO"]


def test_a_share_of_the_calls_fails_and_the_seed_says_which(inside, rule):
    def drawn(seed: int) -> str:
        inside.page.begin(DISK, rule("failing", calls=("sync",), percent=30, seed=seed), COUNTERS)
        return inside.python(
            'fd = os.open(data + "/f", os.O_RDWR | os.O_CREAT)\n'
            'print("".join("x" if tried(os.fsync, fd) else "." for _ in range(200)))'
        )

    assert drawn(1) == drawn(1) != drawn(2)
    assert 30 < drawn(1).count("x") < 90
    assert inside.page["syncs_offered"] == 200


def test_a_slow_disk_holds_every_sync(inside, rule):
    inside.page.begin(DISK, rule("slow", delay_s=0.02), COUNTERS)
    inside.python(
        'fd = os.open(data + "/f", os.O_RDWR | os.O_CREAT)\nos.fsync(fd), os.fdatasync(fd), os.write(fd, b"a")'
    )
    assert inside.page["syncs_delayed"] == 2
    assert inside.page["delayed_ns"] >= 2 * 20_000_000


def test_what_goes_well_again_is_counted_when_somebody_looks(inside):
    inside.page.switch(on=WATCH)
    inside.python('fd = os.open(data + "/f", os.O_RDWR | os.O_CREAT)\nos.write(fd, b"a"), os.fsync(fd)')
    assert inside.page["passed"] == 2


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


def test_streams_of_stdio_fail_when_they_write(inside, rule, tmp_path):
    """They write from inside the C library, where no write() can be replaced."""
    program = inside.program(STREAM, tmp_path)
    inside.page.begin(DISK, rule("full"), COUNTERS)
    done = subprocess.run([program, inside.data], env=inside.env, capture_output=True, text=True, timeout=30)
    assert (
        done.stdout == "1 -1 28 1 0 0 28\n"
    )  # a stream forgets what it could not write, so there is nothing left to close
    assert (inside.data / "f").read_bytes() == b""
    inside.page.switch(off=DISK)
    done = subprocess.run([program, inside.data], env=inside.env, capture_output=True, text=True, timeout=30)
    assert done.stdout.split()[:2] == ["1", "0"] and (inside.data / "f").stat().st_size == 20007


# --- the clock --------------------------------------------------------------------------------------------------------

TIMES = "print(time.time(), time.clock_gettime(time.CLOCK_MONOTONIC))"


@pytest.mark.parametrize("by_s", [30, -30, -0.5])
def test_the_wall_clock_is_moved_and_the_monotonic_one_is_not(inside, by_s):
    rule = {"clock_offset_ns": int(by_s * 1e9), "clock_anchor_ns": time.time_ns(), "clock_extra_ppb": 0}
    inside.page.begin(CLOCK, rule, CLOCK_COUNTERS)
    before = time.time(), time.monotonic()
    wall, monotonic = map(float, inside.python(TIMES).split())
    after = time.time(), time.monotonic()
    assert before[0] <= wall - by_s <= after[0] and before[1] <= monotonic <= after[1]
    assert inside.page["clock_asked"] >= 1
    assert (inside.page["clock_told_ns"] - inside.page["clock_real_ns"]) / 1e9 == by_s


def test_a_clock_that_runs_twice_as_fast(inside):
    anchor_ns = time.time_ns() - 10 * 10**9
    rule = {"clock_offset_ns": 0, "clock_anchor_ns": anchor_ns, "clock_extra_ppb": 10**9}
    inside.page.begin(CLOCK, rule, CLOCK_COUNTERS)
    inside.python(TIMES)
    real_ns, told_ns = inside.page["clock_real_ns"], inside.page["clock_told_ns"]
    assert told_ns - anchor_ns == 2 * (real_ns - anchor_ns)


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


def test_waiting_for_a_second_takes_a_second_whatever_the_clock_says(inside, tmp_path):
    program = inside.program(WAITS, tmp_path, "-pthread")
    rule = {"clock_offset_ns": 60 * 10**9, "clock_anchor_ns": time.time_ns(), "clock_extra_ppb": 0}
    inside.page.begin(CLOCK, rule, CLOCK_COUNTERS)
    done = subprocess.run([program], env=inside.env, capture_output=True, text=True, timeout=30)
    assert all(0.99 <= float(one) < 20 for one in done.stdout.split()), done.stdout


# --- building and reaching ----------------------------------------------------------------------------------------------


def test_it_is_built_once_and_nothing_is_left_of_the_building(tmp_path, built):
    path = library(tmp_path)
    made = path.stat().st_mtime_ns
    assert library(tmp_path) == path and path.stat().st_mtime_ns == made
    assert list(tmp_path.iterdir()) == [path]


def test_without_a_compiler_one_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    with pytest.raises(
        NotBuilt, match=r"need a C compiler, and there is no cc, gcc, clang here .*apt-get install"
    ):
        library(tmp_path)


def test_a_compiler_that_does_not_take_the_sources_is_quoted(tmp_path, monkeypatch):
    broken = tmp_path / "broken-cc"
    broken.write_text("#!/bin/sh\necho no such header >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(NotBuilt, match=r"(?s)did not build .*no such header"):
        library(tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_who_has_loaded_the_library_is_within_reach_and_who_has_not_is_not(inside, tmp_path):
    program = inside.program("#include <unistd.h>\nint main(void) { pause(); }\n", tmp_path)
    for env, within in ((inside.env, True), ({}, False)):
        process = subprocess.Popen([program], env=env, stdout=subprocess.DEVNULL)
        try:
            wait_for_exec(process.pid, str(program))
            why = why_not(process.pid, inside.library)
            assert why is None if within else "did not load the library" in why
        finally:
            process.kill()
            process.wait()


def wait_for_exec(pid: int, program: str) -> None:
    from pathlib import Path

    from kvsim.waiting import Deadline, wait_until

    def settled() -> bool:
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return str(Path(f"/proc/{pid}/exe").readlink()) == program and words[0] == "S"

    wait_until(settled, Deadline.after(10), f"{program} to wait")


def test_a_program_of_go_is_known_by_its_note():
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


def test_where_the_cache_cannot_be_written_it_is_built_elsewhere(tmp_path, built):
    closed = tmp_path / "file"
    closed.touch()
    assert library(closed, tmp_path / "run").parent == tmp_path / "run"
    with pytest.raises(NotBuilt, match=r"cannot be put into .*file: File exists"):
        library(closed)
