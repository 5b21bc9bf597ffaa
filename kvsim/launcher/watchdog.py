"""The last net under a run: a tiny process that outlives a SIGKILLed kvsim just long enough to tidy up after it.

Run as a script, `watchdog.py RUN_ID FOLDER…`, in a session of its own, with a pipe from kvsim as its stdin. A line on the pipe
means that kvsim tidied up itself. End of file without one means that kvsim is dead: every process that carries the run's mark
is killed (by pidfd, so never a stranger) and the folders, which kvsim made, are removed. Imports C modules only, for its start-up.
"""

import os
import signal
import sys

SWEEPS = 50


def marked(run: str) -> list[int]:
    """The pids of living processes that carry the run's mark."""
    needle = b"KVSIM_RUN=" + run.encode()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and int(name) != os.getpid():
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    entries = file.read().split(b"\0")
            except OSError:
                continue
            if needle in entries:
                found.append(int(name))
    return found


def kill(pid: int, run: str) -> None:
    """Kill the process if it still is the marked one once a handle on it is held."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return
    try:
        if pid in marked(run):
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


def main(run: str, folders: list[str]) -> None:
    if os.read(0, 64):
        return
    for _ in range(SWEEPS):
        pids = marked(run)
        if not pids:
            break
        for pid in pids:
            kill(pid, run)
    for folder in folders:
        try:
            remove(folder)
        except OSError:
            continue


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
