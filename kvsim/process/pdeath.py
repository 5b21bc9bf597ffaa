"""Becomes another program that dies with its parent: what `setpriv --pdeathsig KILL` does, where setpriv is
missing.

Run as a script (`python -I -S pdeath.py PARENT_PID PROGRAM ARGS…`), never imported; keeps the pid, because
it execs.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, argv: list[str]) -> None:
    """Raises OSError when the program cannot be run; exits when the parent has died meanwhile."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the bit was set: nobody would ever tell us
        sys.exit(f"pdeath: parent {parent} is gone")
    os.execv(argv[0], argv)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
