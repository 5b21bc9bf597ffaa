"""What the record of writes costs a store: writes per second with and without it.

The reference store, with a sync on every write and with one each second. Each figure is the median
of pairs that are measured one after the other, because the machine's speed changes.

    python benchmarks/power.py [--json] [--runs 5] [--operations 4000]
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _figures import Report, parser, summary
from _load import drive, program_of

from kvsim.faults.preload.control import prepare_preload

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "nodes" / "kvstore" / "__main__.py"
READY_WITHIN_S = 20.0
CLIENTS = 4
# --fsync of the store → the least share of its throughput that is left.
GOALS = {"always": 0.90, "interval": 0.70}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running_store(fsync: str, folder: Path, env: dict[str, str]) -> Iterator[int]:
    """A store that runs; its port."""
    port = free_port()
    words = [sys.executable, "-I", "-S", str(PROGRAM), f"--port={port}", "--role=leader"]
    words += [f"--data-dir={folder}", f"--fsync={fsync}"]
    process = subprocess.Popen(words, env={**os.environ, **env}, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.01)
        yield port
    finally:
        process.terminate()
        process.wait(READY_WITHIN_S)


def rate(fsync: str, operations: int, *, record: bool) -> float:
    """Writes per second."""
    folder = Path(tempfile.mkdtemp(prefix="kvsim-power-"))
    try:
        data = folder / "data"
        data.mkdir()
        with prepare_preload(folder / "control", {"n1": data}, record=record) as control:
            env = {"LD_PRELOAD": str(control.library), **control.variables("n1")}
            with running_store(fsync, data, env if record else {}) as port:
                return drive(program_of("kvstore"), port, CLIENTS, operations)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--operations", type=int, default=4000)
    arguments = options.parse_args()
    report = Report(arguments.json)
    for fsync, goal in GOALS.items():
        pairs = [
            (
                rate(fsync, arguments.operations, record=False),
                rate(fsync, arguments.operations, record=True),
            )
            for _ in range(arguments.runs)
        ]
        for name, values in zip(("plain", "recorded"), zip(*pairs, strict=True), strict=True):
            value, spread = summary(values)
            report.add(f"fsync={fsync}, {name}", value, "writes/s", spread=spread)
        share, spread = summary([recorded / plain for plain, recorded in pairs])
        report.add(f"fsync={fsync}, recorded", share, "of plain", f">= {goal}", spread)
    report.close()


if __name__ == "__main__":
    main()
