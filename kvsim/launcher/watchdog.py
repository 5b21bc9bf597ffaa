"""The last net under a run: tidies up after a kvsim that was killed with SIGKILL.

Run as a script, `watchdog.py RUN_ID SAYING FOLDER…`, by the shell that net.py leaves waiting on a pipe from kvsim, when that pipe ended
without a word. Every process that carries the run's mark is killed (by pidfd, so never a stranger) and the folders, which kvsim
made, are removed; then SAYING, if any, is said on stderr. Imports next to nothing, for its start-up.
"""

import contextlib
import os
import signal
import sys

SWEEPS = 200


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


def remove(path: str) -> None:
    """Remove a folder and all in it; follows no link."""
    for name in os.listdir(path):
        inside = os.path.join(path, name)
        if os.path.isdir(inside) and not os.path.islink(inside):
            remove(inside)
        else:
            os.unlink(inside)
    os.rmdir(path)


def main(run: str, saying: str, folders: list[str]) -> None:
    """Kill until a look finds nobody, then remove the folders, then say so."""
    mark = b"KVSIM_RUN=" + run.encode()
    for _ in range(SWEEPS):
        pids = marked(mark)
        if not pids:
            break
        for pid in pids:
            kill(pid, mark)
    for folder in folders:
        try:
            remove(folder)
        except OSError:
            continue
    if saying:
        with contextlib.suppress(OSError):  # whoever listened has gone as well
            os.write(2, saying.encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
