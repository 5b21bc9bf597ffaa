"""Drive one load to its end and save its history.

The protocol of the nodes decides between the event loop and threads.
"""

from __future__ import annotations

import contextlib
import gc
import time
from collections.abc import Callable
from typing import Any

from kvsim.client.connect import connect
from kvsim.client.stream import StreamClient
from kvsim.history.binary_file import save
from kvsim.history.growing_file import GrowingFile
from kvsim.history.history import History
from kvsim.history.operations import NEVER, Operations
from kvsim.process.clock_gaps import ClockGaps
from kvsim.run_directory import GROWING
from kvsim.workload.event_loop import EventLoop
from kvsim.workload.plan import LoadPlan
from kvsim.workload.recorder import count_outcomes
from kvsim.workload.threads import ClientThreads

PROGRESS_EVERY_S = 0.5


def drive(
    plan: LoadPlan,
    stop: Callable[[], bool],
    on_progress: Callable[[int], None] = lambda count: None,
) -> dict[str, Any]:
    """Run the plan until `stop` returns true; then write the history to `plan.out`.

    Meanwhile it grows in a file beside it, which a load that is killed leaves.

    Returns the operations by outcome, the number of role samples (`samples`), the slowest response
    (`slowest_s`), the times in which this process did not run (`gaps`, monotonic ns), and replies
    that no rule knows (`unrecognised`: node, verb, reply).
    `on_progress` is called about every 0.5 s with the number of operations so far.
    """
    # Columns and string tables form no reference cycles.
    gc.freeze()
    gc.disable()
    driver: EventLoop | ClientThreads
    gaps: list[tuple[int, int]] = []
    own_clock = ClockGaps(lambda began_ns, ended_ns: gaps.append((began_ns, ended_ns)))
    progress_due_s = time.monotonic()

    def stop_or_report() -> bool:
        nonlocal progress_due_s
        own_clock.tick()
        if time.monotonic() >= progress_due_s:
            progress_due_s = time.monotonic() + PROGRESS_EVERY_S
            driver.flush()
            on_progress(len(driver.recorder))
        return stop()

    clients = _stream_clients(plan)
    growing = plan.out.with_name(plan.out.name + GROWING)
    with contextlib.closing(
        GrowingFile(growing, [node.name for node in plan.nodes], plan.keys)
    ) as file:
        if clients is not None:
            driver = EventLoop(plan, clients, stop_or_report, file)
        else:
            driver = ClientThreads(plan, stop_or_report, file)
        driver.run()
        operations = driver.recorder.operations
    save(History(operations, samples=tuple(driver.samples), origin=plan.name), plan.out)
    growing.unlink()
    counts = counts_of(operations, len(driver.samples))
    return {**counts, "gaps": gaps, "unrecognised": driver.recorder.unrecognised}


def counts_of(operations: Operations, samples: int) -> dict[str, float]:
    """The operations by outcome, the number of role samples, and the slowest response."""
    slowest_s = slowest_ns(operations) / 1e9
    return {**count_outcomes(operations), "samples": samples, "slowest_s": slowest_s}


def slowest_ns(operations: Operations) -> int:
    """The longest time from call to return; 0 when no operation returned."""
    times = zip(operations.call_ns, operations.return_ns, strict=True)
    return max((returned - called for called, returned in times if returned != NEVER), default=0)


def _stream_clients(plan: LoadPlan) -> list[StreamClient] | None:
    """The clients of the nodes, if all keep a connection that an event loop can wait on."""
    clients = [connect(node.program, node.host, node.port, names=node.names) for node in plan.nodes]
    usable = [client for client in clients if isinstance(client, StreamClient) and client.cacheable]
    return usable if len(usable) == len(clients) else None
