"""Network namespaces without names: make, enter, leave.

The kernel removes a namespace when no process and no open file holds it any more. A namespace
belongs to a thread: processes and sockets that a thread makes are in the namespace of that thread
at that moment. Other threads stay where they are. Makes no interface and sets no address.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path

# CLONE_NEWNET of sched.h; Python has a name for it since 3.12.
NEW_NET = 0x40000000
CURRENT = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)


def open_current() -> int:
    """A handle of the namespace this thread is in. The caller closes it."""
    return os.open(CURRENT, os.O_RDONLY | os.O_CLOEXEC)


def in_own_namespace(pid: int) -> bool:
    """Whether a process is in the namespace of this thread; also when that cannot be seen."""
    try:
        return Path(f"/proc/{pid}/ns/net").stat().st_ino == Path(CURRENT).stat().st_ino
    except OSError:
        return True


def enter_new() -> int:
    """Make a namespace and enter it; a handle of it. It has only a loopback, which is down.

    Raises OSError (not permitted).
    """
    _check(_libc.unshare(NEW_NET), "unshare")
    return open_current()


def enter(net: int) -> None:
    """Enter the namespace of a handle. Raises OSError."""
    _check(_libc.setns(net, NEW_NET), "setns")


@contextlib.contextmanager
def in_namespace(net: int | None) -> Iterator[None]:
    """The thread is in the namespace inside (2 µs to enter, 2 µs to return); None: it stays."""
    if net is None:
        yield
        return
    home = open_current()
    try:
        enter(net)
        yield
    finally:
        enter(home)
        os.close(home)


def refusal_reason() -> str | None:
    """Why this process may not make namespaces and return from them; None when it may.

    Tried in a thread that ends.
    """
    reason: list[str | None] = [None]

    def attempt() -> None:
        try:
            home = open_current()
            try:
                os.close(enter_new())
                enter(home)
            finally:
                os.close(home)
        except OSError as error:
            reason[0] = f"{error.filename}: {error.strerror}"
        except AttributeError:
            reason[0] = "this system has no network namespaces"

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return reason[0]


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
