"""The load process: a plan on standard input, then `stop` or the end of it; on standard output lines of JSON: that it has started,
how many operations there are by now, and the counts when it is over.

Ends when kvsim does, because its input does. `child.py` is the other side.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import struct
import sys

from kvsim.load.driving import drive


def main() -> int:
    """Read the plan, say `started`, drive, say how it went."""
    source = sys.stdin.buffer.raw
    (size,) = struct.unpack(">Q", _exactly(source.fileno(), 8))
    plan = pickle.loads(_exactly(source.fileno(), size))
    poll = select.poll()
    poll.register(source.fileno(), select.POLLIN)
    _say(started=os.getpid())
    counts = drive(plan, lambda: bool(poll.poll(0)), _so_far)  # a word or the end: both mean stop
    _say(**counts)
    return 0


def _say(**words: object) -> None:
    print(json.dumps(words), flush=True)


def _so_far(made: int) -> None:
    """Say it only where somebody listens: a load that is not listened to goes on all the same."""
    _, writable, _ = select.select([], [sys.stdout], [], 0)
    if writable:
        _say(made=made)


def _exactly(fd: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = os.read(fd, size - len(data))
        if not chunk:
            raise SystemExit("the plan was cut short")
        data += chunk
    return data


if __name__ == "__main__":
    sys.exit(main())
