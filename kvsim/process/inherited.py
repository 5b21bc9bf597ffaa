"""What a process inherits from the program that started kvsim, set to what is usual.

A parent may ignore SIGCHLD (then exit statuses are lost), block signals, close the standard streams
or take the owner's rights out of the umask. None of it is the nodes' doing, so none may reach them
or change a verdict. Called once, when kvsim starts.
"""

from __future__ import annotations

import gc
import os
import resource
import signal

from kvsim.errors import UsageError

# Limits that nodes inherit. Their soft limit becomes the hard limit, which nobody can raise.
RAISED = ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_DATA", "RLIMIT_FSIZE", "RLIMIT_NPROC")
MIB = 1 << 20
# Limits whose soft limit is raised to what is usual: without limit, programs would choose another
# layout of memory or count to the limit.
RAISED_TO = {"RLIMIT_NOFILE": 4096, "RLIMIT_STACK": 8 * MIB}
# Limit → the least with which kvsim and its nodes can do their work, its unit, and the option of
# the shell's `ulimit`. Below it, a correct store would fail, or kvsim itself.
LEAST = {
    "RLIMIT_NOFILE": (256, "open files", "-n"),
    "RLIMIT_NPROC": (128, "processes of the user", "-u"),
    "RLIMIT_FSIZE": (64 * MIB, "bytes in a file", "-f"),
    "RLIMIT_AS": (1024 * MIB, "bytes of addresses", "-v"),
    "RLIMIT_DATA": (256 * MIB, "bytes of data", "-d"),
    "RLIMIT_STACK": (1 * MIB, "bytes of stack", "-s"),
    "RLIMIT_CPU": (60, "seconds of processor time", "-t"),
}
# Between two looks for unreachable objects.
NEW_OBJECTS = 50_000
LOOPBACK_WITHIN_S = 10.0
# The owner's rights.
OWNER = 0o700
# Python ignores them on purpose, and resets them for what it starts.
IGNORED_BY_PYTHON = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
CANNOT_CHANGE = frozenset({signal.SIGKILL, signal.SIGSTOP})


_alone = False


def is_alone() -> bool:
    """Whether this process is kvsim and nothing else: its children are kvsim's, or orphans of
    nodes.

    Where kvsim is a part of another program (a test), children may be that program's.
    """
    return _alone


def take_over_process() -> None:
    """Declare that this process is kvsim alone; set its signals, streams, umask and limits.

    Unreachable objects are looked for more rarely than is usual: kvsim makes few, and looking is a
    twentieth of the time of a short run.
    """
    global _alone
    _alone = True
    gc.set_threshold(NEW_OBJECTS)
    _open_standard_streams()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.umask(os.umask(OWNER) & ~OWNER)
    for name in RAISED:
        _raise_limit(getattr(resource, name))
    for name, wanted in RAISED_TO.items():
        _raise_limit(getattr(resource, name), wanted)
    _make_no_core_files()


def ignored_signals() -> list[signal.Signals]:
    """The signals that a program started now would ignore, because kvsim does."""
    changeable = set(signal.Signals) - IGNORED_BY_PYTHON - CANNOT_CHANGE
    return [number for number in changeable if signal.getsignal(number) is signal.SIG_IGN]


def check_system() -> None:
    """Raises UsageError where kvsim could not observe processes, or finds no working directory."""
    try:
        os.getcwd()  # noqa: PTH109 (Path.cwd is the same call)
    except OSError:
        raise UsageError("the working directory does not exist any more: cd to another") from None
    try:
        own = os.readlink("/proc/self")  # noqa: PTH115 (as above)
    except OSError:
        raise UsageError("kvsim observes processes in /proc, and none is mounted there") from None
    if own != str(os.getpid()):
        raise UsageError(
            "/proc shows the processes of another pid namespace: mount its own "
            "(unshare --pid --fork --mount-proc)"
        )


def check_inherited() -> None:
    """Raises UsageError for what nodes inherit and no store can work with: a hard limit that is too
    low, or a network namespace whose loopback is down.

    What happened there would be blamed on the store.
    """
    _check_loopback()
    for name, (least, unit, option) in LEAST.items():
        _, hard = resource.getrlimit(getattr(resource, name))
        if hard != resource.RLIM_INFINITY and hard < least:
            raise UsageError(
                f"nothing was started: the hard limit {name} is {hard:,} {unit} here (`ulimit -H "
                f"{option}`), nodes inherit it, and kvsim needs {least:,}: raise it where this "
                "shell, container or job gets it"
            )


def _check_loopback() -> None:
    # Late: most commands start nothing.
    import socket

    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), LOOPBACK_WITHIN_S).close()
    except OSError as error:
        raise UsageError(
            "nothing was started: no connection to 127.0.0.1 can be made here "
            f"({error.strerror or error}): `ip link set lo up` in this network namespace"
        ) from None


def _open_standard_streams() -> None:
    """A closed stream's number would go to the next file, and nodes would write into that file.

    A pipe that the parent made non-blocking would take only what fits in it, and the rest of the
    output would be lost.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for number in (1, 2):
        os.set_blocking(number, True)


def _make_no_core_files() -> None:
    """Not of kvsim, its workers, and the programs that it calls: a core file is left behind in the
    user's folder. (Of nodes, `spawn` sees to it.)
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, hard))


def _raise_limit(kind: int, wanted: int | None = None) -> None:
    soft, hard = resource.getrlimit(kind)
    unlimited = resource.RLIM_INFINITY
    goal = hard if wanted is None or (hard != unlimited and hard < wanted) else wanted
    if soft != unlimited and (goal == unlimited or soft < goal):
        try:
            resource.setrlimit(kind, (goal, hard))
        except (OSError, ValueError):
            return
