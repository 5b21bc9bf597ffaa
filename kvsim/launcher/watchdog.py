"""The last net under a run: tidies up after a kvsim that was killed with SIGKILL.

Run as a script, `watchdog.py RUN_ID SAYING PATH…`, by the shell that net.py leaves waiting on a pipe from kvsim, when that pipe ended
without a word. Every process that carries the run's mark is killed (by pidfd, so never a stranger) and the paths, which kvsim
made, are removed; then SAYING, if any, is said on stderr. Imports next to nothing, for its start-up.
"""

import contextlib
import os
import signal
import sys
import time

SWEEPS = 200
TRIES, PAUSE_S = 100, 0.05  # for a folder in which others, who die as well, are still writing


def carries(pid: int, mark: bytes) -> bool:
    """Whether a living process has the mark in its environment."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return mark in file.read().split(b"\0")
    except OSError:
        return False


def marked(mark: bytes) -> list[int]:
    """The pids of living processes that carry the mark."""
    pids = (int(name) for name in os.listdir("/proc") if name.isdigit())
    return [pid for pid in pids if pid != os.getpid() and carries(pid, mark)]


def kill(pid: int, mark: bytes) -> None:
    """Kill the process, if it still is the marked one once a handle on it is held."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if carries(pid, mark):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
    except OSError:
        pass
    finally:
        os.close(handle)


def gone(path: str) -> bool:
    """Whether the file or folder is no longer there, after one more attempt to remove it."""
    with contextlib.suppress(OSError):
        remove(path)
    return not os.path.lexists(path)


def remove(path: str) -> None:
    """Remove a file, or a folder and all in it; follows no link."""
    if os.path.islink(path) or not os.path.isdir(path):
        os.unlink(path)
        return
    for name in os.listdir(path):
        remove(os.path.join(path, name))
    os.rmdir(path)


def main(run: str, saying: str, paths: list[str]) -> None:
    """Kill until a look finds nobody, then remove the paths, then say so."""
    mark = b"KVSIM_RUN=" + run.encode()
    for _ in range(SWEEPS):
        pids = marked(mark)
        if not pids:
            break
        for pid in pids:
            kill(pid, mark)
    for _ in range(TRIES):
        paths = [path for path in paths if not gone(path)]
        if not paths:
            break
        time.sleep(PAUSE_S)
    if saying:
        with contextlib.suppress(OSError):  # whoever listened has gone as well
            os.write(2, saying.encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
