"""The load process; `worker_handle` is its other side.

Reads a plan on standard input. It stops at any further byte there and at its end, so also when
kvsim ends. Writes lines of JSON on standard output: that it has started, the number of operations
so far, and at the end its counts.
"""

from __future__ import annotations

import json
import os
import pickle
import select
import struct
import sys

from kvsim.workload.drive import drive

STDIN = 0


def main() -> int:
    """Read the plan, write `started`, drive the load, write its counts."""
    (size,) = struct.unpack(">Q", _read_exactly(8))
    plan = pickle.loads(_read_exactly(size))
    poll = select.poll()
    poll.register(STDIN, select.POLLIN)
    _write(started=os.getpid())
    counts = drive(plan, lambda: bool(poll.poll(0)), _write_progress)
    _write(**counts)
    return 0


def _write(**fields: object) -> None:
    print(json.dumps(fields), flush=True)


def _write_progress(count: int) -> None:
    """Write it only if the pipe has space: a load never waits for its reader."""
    _, writable, _ = select.select([], [sys.stdout], [], 0)
    if writable:
        _write(made=count)


def _read_exactly(size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = os.read(STDIN, size - len(data))
        if not chunk:
            raise SystemExit("the plan was cut short")
        data += chunk
    return data


if __name__ == "__main__":
    sys.exit(main())
