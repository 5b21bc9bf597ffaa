"""The record of the preloaded library: what small processes write is in it as in the files."""

from __future__ import annotations

import random
import signal
import subprocess

import pytest

from kvsim.faults.power.disk_recording import DiskRecording
from kvsim.faults.power.recorded_calls import Kind
from kvsim.faults.preload.shared_memory import HOLD_BIT, RECORD_BIT


@pytest.fixture
def recording(preloaded):
    recording = DiskRecording(preloaded.page.path.with_suffix(".record"), preloaded.data)
    with recording.preparing():
        preloaded.page.switch(on=RECORD_BIT)
    return recording


def settled(recording):
    """What the record says of the files; the record has to explain them."""
    disk = recording.settle()
    assert disk.not_followed == []
    return disk


def kept(disk, keep="none"):
    return dict(disk.legal(keep, random.Random(0)).files)


def test_every_way_to_write_is_in_the_record(preloaded, recording):
    preloaded.python(
        """
fd = os.open(data + "/f", os.O_RDWR | os.O_CREAT)
os.write(fd, b"one"), os.pwrite(fd, b"two", 10), os.writev(fd, [b"th", b"ree"])
os.pwritev(fd, [b"fo", b"ur"], 30), os.ftruncate(fd, 32), os.truncate(data + "/f", 31)
os.posix_fallocate(fd, 0, 64)
other = os.open(data + "/g", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
os.write(other, b"abc"), os.pwrite(other, b"de", 0)
source = os.open(data + "/f", os.O_RDONLY)
into = os.open(data + "/h", os.O_WRONLY | os.O_CREAT)
os.copy_file_range(source, into, 5, 0, 100), os.copy_file_range(source, into, 5)
os.sendfile(into, source, 0, 20)
if os.fork() == 0:
    os.write(into, b"child")
    os._exit(0)
os.wait()
threads = [threading.Thread(target=lambda: [os.write(into, b"t" * 7) for _ in range(50)])
           for _ in range(4)]
[thread.start() for thread in threads], [thread.join() for thread in threads]
os.mkdir(data + "/d"), os.rename(data + "/g", data + "/d/g"), os.link(data + "/h", data + "/i")
os.unlink(data + "/h")
open(data + "/f", "r+b").close(), open(data + "/i", "ab").write(b"last")
"""
    )
    disk = settled(recording)
    assert disk.now().files.keys() == {"f", "d", "d/g", "i"}
    assert kept(disk) == {}


@pytest.mark.parametrize(
    ("sync", "is_synced"),
    [
        ("os.fsync(fd)", True),
        ("os.fdatasync(fd)", True),
        ("os.sync()", True),
        ("os.fsync(os.open(data, os.O_RDONLY))", False),
        ("os.fsync(os.open(data + '/g', os.O_CREAT | os.O_RDWR))", False),
    ],
)
def test_every_way_to_sync_is_in_the_record(preloaded, recording, sync, is_synced):
    preloaded.python(
        f'fd = os.open(data + "/f", os.O_RDWR | os.O_CREAT)\nos.write(fd, b"abc")\n{sync}\n'
    )
    content = kept(settled(recording)).get("f", b"")
    assert content == (b"abc" if is_synced else b"")


def test_each_write_to_a_file_that_is_opened_with_o_dsync_is_synced(preloaded, recording):
    preloaded.python(
        'fd = os.open(data + "/f", os.O_RDWR | os.O_CREAT | os.O_DSYNC)\nos.write(fd, b"abc")'
    )
    assert kept(settled(recording)) == {"f": b"abc"}


STREAMS = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int count, char **words) {
    char big[20000], text[100];
    (void)count;
    if (chdir(words[1]) != 0) return 1;
    memset(big, 'x', sizeof big);
    FILE *file = fopen("log", "a+");
    fprintf(file, "%s %d\n", "printed", 1);
    fflush(file);
    fwrite(big, 1, sizeof big, file);
    fputs("text", file); fputc('c', file);
    fflush(file);
    fsync(fileno(file));
    FILE *again = fopen("other", "w+");
    fputs("0123456789", again);
    rewind(again);
    if (!fgets(text, 4, again)) return 2;
    fseek(again, 3, SEEK_SET);
    fputs("ab", again);
    fclose(again);
    int fd = open("mapped", O_RDWR | O_CREAT, 0644);
    if (ftruncate(fd, 8192) != 0) return 3;
    char *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    strcpy(memory, "synced");
    msync(memory, 4096, MS_SYNC);
    strcpy(memory + 5000, "lost");
    char name[] = "temporary-XXXXXX";
    int made = mkstemp(name);
    syscall(SYS_write, made, "called", 6);
    fputs("at exit", file);
    return 0;
}
"""


def test_streams_and_maps_are_in_the_record(preloaded, recording, tmp_path):
    built = preloaded.program(STREAMS, tmp_path)
    subprocess.run([built, preloaded.data], env=preloaded.env, check=True, timeout=180)
    disk = settled(recording)
    content = kept(disk)
    assert content["log"] == b"printed 1\n" + b"x" * 20000 + b"textc"
    assert content["mapped"] == b"synced".ljust(8192, b"\0")
    everything = disk.now().files
    assert everything["log"] == content["log"] + b"at exit"
    assert everything["other"] == b"012ab56789"
    assert everything["mapped"][5000:5004] == b"lost"
    assert b"called" in everything.values()


UNUSUAL = r"""
#define _GNU_SOURCE
#include <aio.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int count, char **words) {
    if (chdir(words[1]) != 0) return 1;
    int fd = open("replaced", O_RDWR | O_CREAT, 0644);
    write(fd, "1", 1);
    int other = open("replaced", O_RDWR | O_DSYNC | O_APPEND);
    dup2(other, fd);
    write(fd, "2", 1);
    dprintf(open("printed", O_RDWR | O_CREAT | O_DSYNC, 0644), "%s %d", "printed", 1);
    FILE *stream = fdopen(open("stream", O_RDWR | O_CREAT | O_DSYNC, 0644), "w");
    fputs("text", stream);
    fflush(stream);
    fd = open("called", O_RDWR | O_CREAT, 0644);
    write(fd, "called", 6);
    syscall(SYS_syncfs, fd);
    /* A map of a file that grows, shrinks and is moved. */
    fd = open("mapped", O_RDWR | O_CREAT, 0644);
    char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ftruncate(fd, 4096);
    memcpy(memory + 4090, "grown", 5);
    msync(memory, 1 << 20, MS_SYNC);
    ftruncate(fd, 8192);
    memory = mremap(memory, 1 << 20, 2 << 20, MREMAP_MAYMOVE);
    memcpy(memory + 5000, "moved", 5);
    msync(memory, 2 << 20, MS_SYNC);
    ftruncate(fd, 6000);
    memcpy(memory + 5990, "lost", 4);
    fdatasync(open("printed", O_RDWR));
    struct aiocb request = {.aio_fildes = fd};
    if (count > 2) aio_fsync(O_SYNC, &request);
    munmap(memory, 2 << 20);
    return 0;
}
"""


def test_unusual_ways_to_sync_are_in_the_record(preloaded, recording, tmp_path):
    built = preloaded.program(UNUSUAL, tmp_path, "-w")
    subprocess.run([built, preloaded.data], env=preloaded.env, check=True, timeout=180)
    disk = settled(recording)
    content = kept(disk)
    assert [content[name] for name in ("replaced", "printed", "stream", "called")] == [
        b"12",
        b"printed 1",
        b"text",
        b"called",
    ]
    mapped = content["mapped"]
    assert (len(mapped), mapped[4090:4095], mapped[5000:5005]) == (8192, b"grown", b"moved")
    (lost,) = [change for change in disk.lost(disk.legal("none", random.Random(0))) if change.data]
    assert (lost.path, lost.at, lost.data) == ("mapped", 5990, b"lost")
    assert disk.now().files["mapped"][5990:5994] == b"lost"


def test_a_sync_of_which_it_is_not_known_when_it_ends_is_not_followed(
    preloaded, recording, tmp_path
):
    built = preloaded.program(UNUSUAL, tmp_path, "-w")
    subprocess.run([built, preloaded.data, "aio"], env=preloaded.env, check=True, timeout=180)
    assert recording.settle().not_followed == ["a change that is not followed: aio_fsync"]


def test_what_is_written_without_the_library_is_noticed(preloaded, recording):
    (preloaded.data / "f").write_bytes(b"abc")
    (reason,) = recording.settle().not_followed
    assert reason == "f was made in a way that it does not see"


def test_bytes_that_were_not_seen_are_noticed(preloaded, recording):
    preloaded.python('os.write(os.open(data + "/f", os.O_RDWR | os.O_CREAT), b"abc")')
    with (preloaded.data / "f").open("ab") as file:
        file.write(b"more")
    (reason,) = recording.settle().not_followed
    assert reason == "f has other bytes from 3 on than were seen (7 bytes, 3 seen)"


def test_a_process_may_be_killed_at_any_moment(preloaded, recording):
    """Again and again: what the record leaves open is settled by what the files hold."""
    code = """
print("ready", flush=True)
number = 0
while True:
    number += 1
    fd = os.open(data + f"/f{number % 3}.new", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    for at in range(9):
        os.write(fd, bytes([number % 256]) * 3000)
    os.rename(data + f"/f{number % 3}.new", data + f"/f{number % 3}")
    os.close(fd)
"""
    for _ in range(10):
        with recording.preparing():
            pass
        process = preloaded.start_python(code)
        process.stdout.readline()
        while preloaded.page["sequence"] % 997 > 20:
            assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=180)
        settled(recording)


def test_while_the_power_is_about_to_be_cut_nothing_is_synced(preloaded, recording):
    process = preloaded.start_python(
        'fd = os.open(data + "/f", os.O_RDWR | os.O_CREAT)\n'
        'os.write(fd, b"abc"), os.fsync(fd)\n'
        'print("ready", flush=True), sys.stdin.readline()\n'
        'os.write(fd, b"def"), os.fsync(fd)\n'
    )
    process.stdout.readline()
    preloaded.page.switch(on=HOLD_BIT)
    process.stdin.write("go\n")
    process.stdin.flush()
    while not preloaded.page["held"]:
        assert process.poll() is None
    process.kill()
    process.communicate(timeout=180)
    disk = settled(recording)
    assert kept(disk) == {"f": b"abc"}
    assert kept(disk, "all") == {"f": b"abcdef"}


def test_a_state_is_given_to_the_files_and_the_record_goes_on(preloaded, recording):
    preloaded.python(
        'os.mkdir(data + "/d")\n'
        'fd = os.open(data + "/d/f", os.O_RDWR | os.O_CREAT)\n'
        'os.write(fd, b"abc"), os.fsync(fd), os.write(fd, b"def")\n'
        'os.open(data + "/new", os.O_CREAT)'
    )
    disk = settled(recording)
    recording.put(disk.legal("none", random.Random(0)))
    assert {path.name for path in preloaded.data.rglob("*")} == {"d", "f"}
    assert (preloaded.data / "d/f").read_bytes() == b"abc"
    preloaded.python('os.write(os.open(data + "/d/f", os.O_WRONLY | os.O_APPEND), b"xyz")')
    disk = settled(recording)
    assert kept(disk) == {"d": None, "d/f": b"abc"}
    assert kept(disk, "all") == {"d": None, "d/f": b"abcxyz"}


def test_nothing_is_recorded_when_nobody_asks(preloaded):
    folder = preloaded.page.path.with_suffix(".record")
    folder.mkdir()
    preloaded.python('os.write(os.open(data + "/f", os.O_RDWR | os.O_CREAT), b"abc")')
    assert not any(folder.iterdir())


def test_kinds_are_numbered_as_in_the_library(preloaded, recording):
    recording.keep_calls = True
    preloaded.python(
        'fd = os.open(data + "/f", os.O_RDWR | os.O_CREAT)\nos.write(fd, b"a"), os.fsync(fd)'
    )
    settled(recording)
    assert [entry.kind for entry in recording.calls] == [Kind.CREATED, Kind.WRITTEN, Kind.SYNCED]
