"""Cleans up after a kvsim that was killed with SIGKILL.

Run as a script, `watchdog.py RUN_ID PATH… GROUPS…`, by the shell that `watchdog_guard` leaves
waiting on a pipe from kvsim, when that pipe ended without a line. KILLs every process that carries
the run's tag (by pidfd, so never a foreign process) and removes the paths, which kvsim made. Then
it writes the variable KVSIM_MESSAGE, if it is not empty, to stderr. Imports few modules, so that it
starts quickly.
"""

import contextlib
import os
import signal
import sys
import time

# While the kernel starts a program in a process, that process has no environment to be seen; and
# processes that are dying still write. So one round that finds nothing is not enough.
QUIET_ROUNDS, PAUSE_S, LIMIT_S = 2, 0.05, 10.0


def carries(pid: int, tag: bytes) -> bool:
    """Whether a living process has the tag in its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return tag in file.read().split(b"\0")
    except OSError:
        return False


def tagged(tag: bytes) -> list[int]:
    """The pids of living processes that carry the tag."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [pid for pid in pids if pid != os.getpid() and carries(pid, tag)]


def kill(pid: int, tag: bytes) -> None:
    """Kill the process, if it still carries the tag once its pidfd is open."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if carries(pid, tag):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        pass
    finally:
        os.close(handle)


def gone(path: str) -> bool:
    """Whether the file or folder is gone, after one more attempt to remove it.

    `group:PREFIX` stands for all control groups whose paths begin with PREFIX.
    """
    if path.startswith("group:"):
        return groups_gone(path.partition(":")[2])
    with contextlib.suppress(OSError):
        remove(path)
    return not os.path.lexists(path)


def groups_gone(prefix: str) -> bool:
    """Whether no such control group is left, after their processes were killed."""
    parent, start = os.path.split(prefix)
    folders = [os.path.join(parent, name) for name in os.listdir(parent) if name.startswith(start)]
    for folder in folders:
        with contextlib.suppress(OSError):
            with open(os.path.join(folder, "cgroup.procs")) as file:
                for pid in filter(None, map(int, file.read().split())):
                    os.kill(pid, signal.SIGKILL)
            os.rmdir(folder)
    return not folders


def remove(path: str) -> None:
    """Remove a file, or a folder and all in it; follows no link."""
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return
    # A store may have taken away the right to write.
    with contextlib.suppress(OSError):
        os.chmod(path, 0o700)
    for name in os.listdir(path):
        remove(os.path.join(path, name))
    os.rmdir(path)


def main(run: str, message: str, paths: list[str]) -> None:
    """Kill until no tagged process is left, remove the paths, write the message."""
    tag = b"KVSIM_RUN=" + run.encode()
    quiet, end = 0, time.monotonic() + LIMIT_S
    while quiet < QUIET_ROUNDS and time.monotonic() < end:
        # Every path each time: a process that was not seen may have made it again.
        pids = tagged(tag)
        for pid in pids:
            kill(pid, tag)
        left = [path for path in paths if not gone(path)]
        quiet = 0 if pids or left else quiet + 1
        # No pause while there are processes: they might start others.
        if not pids and quiet < QUIET_ROUNDS:
            time.sleep(PAUSE_S)
    if message:
        # The terminal may be gone as well.
        with contextlib.suppress(OSError):
            os.write(2, message.encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1], os.environ.get("KVSIM_MESSAGE", ""), sys.argv[2:])
