"""kvsim's load as a benchmark uses it: so many writes to one node of any program, its history kept, and the rate taken from that."""

from __future__ import annotations

import tempfile
from pathlib import Path

from kvsim.config.program import Program
from kvsim.config.program_file import load_program
from kvsim.history.history_file import load
from kvsim.load.child import LoadProcess
from kvsim.load.plan import LoadPlan, NodePlan

ROOT = Path(__file__).parent.parent
WITHIN_S = 120.0


def program(path: str) -> Program:
    """The program that a file under `nodes/` describes."""
    return load_program(str(ROOT / "nodes" / path), ROOT, [])


def drive(spoken: Program, port: int, clients: int, operations: int, processes: int = 1) -> float:
    """Writes a second of all load processes together, `operations` by each, between the first call and the last answer.

    `port` is that of a node, on this machine, that takes writes. Raises RuntimeError when not every write was acknowledged.
    """
    with tempfile.TemporaryDirectory() as folder:
        plans = [
            _plan(spoken, port, clients // processes, operations, Path(folder), number)
            for number in range(processes)
        ]
        children = [LoadProcess(plan) for plan in plans]
        acknowledged = sum(child.wait(WITHIN_S)["ok"] for child in children)
        columns = [load(plan.out).operations for plan in plans]
    if acknowledged < sum(map(len, columns)):
        raise RuntimeError(f"{sum(map(len, columns)) - acknowledged} writes were not acknowledged")
    begin = min(min(one.call_ns) for one in columns)
    end = max(max(one.return_ns) for one in columns)
    return sum(map(len, columns)) / ((end - begin) / 1e9)


def _plan(spoken: Program, port: int, clients: int, operations: int, folder: Path, number: int) -> LoadPlan:
    return LoadPlan(
        name="bench",
        out=folder / f"{number}.history",
        nodes=(NodePlan("n1", "127.0.0.1", port, spoken, 1, {}, (port,)),),
        writes_at=("n1",),
        reads_at=("n1",),
        follow=False,
        clients=clients,
        mix={"put": 1},
        keys=("key:000000000000",),
        skew=0.0,
        rate=None,
        timeout_s=5.0,
        seed="1",
        process=number * 1000,
        tag=f"{number}-",
        stop_after=operations,
    )
