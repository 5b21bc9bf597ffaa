"""kvsim's load for a benchmark: writes to one node of any program, and their rate."""

from __future__ import annotations

import tempfile
from pathlib import Path

from kvsim.config.program import Program
from kvsim.config.program_loader import load_program
from kvsim.history.binary_file import load
from kvsim.runner.registry import REGISTRY
from kvsim.workload.plan import LoadPlan, NodePlan
from kvsim.workload.worker_handle import LoadProcess

ROOT = Path(__file__).parent.parent
LOAD_TIMEOUT_S = 120.0


def program_of(path: str) -> Program:
    """The program of a file under `nodes/`."""
    found = load_program(str(ROOT / "nodes" / path), ROOT, [], REGISTRY)
    assert found, path
    return found


def drive(program: Program, port: int, clients: int, operations: int, processes: int = 1) -> float:
    """Writes per second of all load processes together, from the first call to the last return.

    Each makes `operations` writes to a node at `port` on this machine. Raises RuntimeError when a
    write was not acknowledged.
    """
    with tempfile.TemporaryDirectory() as folder:
        plans = [
            _plan(program, port, clients // processes, operations, Path(folder), number)
            for number in range(processes)
        ]
        loads = [LoadProcess(plan) for plan in plans]
        acknowledged = sum(process.wait(LOAD_TIMEOUT_S)["ok"] for process in loads)
        histories = [load(plan.out).operations for plan in plans]
    if acknowledged < sum(map(len, histories)):
        raise RuntimeError(
            f"{sum(map(len, histories)) - acknowledged} writes were not acknowledged"
        )
    begin_ns = min(min(operations.call_ns) for operations in histories)
    end_ns = max(max(operations.return_ns) for operations in histories)
    return sum(map(len, histories)) / ((end_ns - begin_ns) / 1e9)


def _plan(
    program: Program, port: int, clients: int, operations: int, folder: Path, number: int
) -> LoadPlan:
    return LoadPlan(
        name="bench",
        out=folder / f"{number}.history",
        nodes=(NodePlan("n1", "127.0.0.1", port, program, 1, {}, (port,)),),
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
