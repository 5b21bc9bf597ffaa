"""Network namespaces without names: made, entered, left. The kernel removes one when no process and no open file holds it any more.

A namespace is the thread's: what a thread starts and what sockets it makes belong to the one it is in at that moment. Other threads
stay where they are. Lays no cable and sets no address.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator

NEW_NET = 0x40000000  # CLONE_NEWNET of sched.h; Python has a word for it since 3.12
OWN = "/proc/thread-self/ns/net"

_libc = ctypes.CDLL(None, use_errno=True)


def own() -> int:
    """A handle on the namespace this thread is in. Close it."""
    return os.open(OWN, os.O_RDONLY | os.O_CLOEXEC)


def leave_for_new() -> int:
    """Make a namespace, empty but for a loopback that is down, and be in it; a handle on it. Raises OSError (not permitted)."""
    _checked(_libc.unshare(NEW_NET), "unshare")
    return own()


def enter(net: int) -> None:
    """Be in the namespace of a handle. Raises OSError."""
    _checked(_libc.setns(net, NEW_NET), "setns")


@contextlib.contextmanager
def inside(net: int | None) -> Iterator[None]:
    """Be in a namespace for a while (2 µs there and 2 µs back); None: stay."""
    if net is None:
        yield
        return
    home = own()
    try:
        enter(net)
        yield
    finally:
        enter(home)
        os.close(home)


def refusal() -> str | None:
    """Why this process may not have namespaces of its own and come back from them; None when it may. Tried on a thread that ends."""
    said: list[str | None] = [None]

    def attempt() -> None:
        try:
            home = own()
            try:
                os.close(leave_for_new())
                enter(home)
            finally:
                os.close(home)
        except OSError as error:
            said[0] = f"{error.filename}: {error.strerror}"
        except AttributeError:
            said[0] = "this system has no network namespaces"

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()
    return said[0]


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)
