"""Becomes another program that dies with its parent, where the program `setpriv` is missing.

Does what `setpriv --pdeathsig KILL` does. Run as a script
(`python -I -S parent_death_signal.py PARENT_PID PROGRAM ARGS…`), never imported. It keeps the pid,
because it execs.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, argv: list[str]) -> None:
    """Exits when the program cannot be run (status 126), or when the parent has died already."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # If the parent died before the call above, the kernel will not send the signal.
    if os.getppid() != parent:
        sys.exit(f"parent_death_signal: parent {parent} is gone")
    try:
        os.execv(argv[0], argv)
    except OSError as error:
        print(
            f"parent_death_signal: failed to execute {argv[0]}: {error.strerror}", file=sys.stderr
        )
        sys.exit(126)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
