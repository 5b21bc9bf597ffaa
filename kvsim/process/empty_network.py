"""Becomes another program in a network of its own: a loopback, and no other process.

Run as a script (`python -I -S empty_network.py PROGRAM ARGS…`), never imported. It keeps the pid,
because it execs. Without the right to make a network namespace it makes a user namespace first.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys

# sched.h
NEW_USER, NEW_NET = 0x10000000, 0x40000000
# linux/sockios.h, linux/if.h
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
NOT_RUN = 126


def main(argv: list[str]) -> None:
    """Exits with 126 when the system does not allow it, or when the program cannot be run."""
    try:
        enter_new_network()
        os.execv(argv[0], argv)
    except OSError as error:
        print(f"empty_network: {error}", file=sys.stderr)
        sys.exit(NOT_RUN)


def enter_new_network() -> None:
    user, group = os.geteuid(), os.getegid()
    if not unshare(NEW_NET):
        if not unshare(NEW_USER | NEW_NET):
            raise OSError(ctypes.get_errno(), "this system allows no network namespace")
        write("setgroups", "deny")
        write("uid_map", f"{user} {user} 1")
        write("gid_map", f"{group} {group} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sh", b"lo", IFF_UP))


def unshare(flags: int) -> bool:
    return bool(ctypes.CDLL(None, use_errno=True).unshare(flags) == 0)


def write(name: str, text: str) -> None:
    file = os.open(f"/proc/self/{name}", os.O_WRONLY)
    os.write(file, text.encode("ascii"))
    os.close(file)


if __name__ == "__main__":
    main(sys.argv[1:])
