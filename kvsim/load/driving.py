"""Drive one load to its end and save what it recorded: the choice between the quick loop and threads is made here."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any

from kvsim.client.connect import connect
from kvsim.client.stream import StreamClient
from kvsim.history.history import History
from kvsim.history.history_file import save
from kvsim.history.operations import NEVER, Operations
from kvsim.load.loop import Loop
from kvsim.load.plan import LoadPlan
from kvsim.load.recorder import told
from kvsim.load.threads import Threads

TELL_EVERY_S = 0.5


def drive(
    plan: LoadPlan, stop: Callable[[], bool], tell: Callable[[int], None] = lambda made: None
) -> dict[str, Any]:
    """Run the plan; the history stands in `plan.out` afterwards. How many operations came to what. `tell` hears now and then how
    many there are.
    """
    gc.freeze()
    gc.disable()  # columns and interned names make no circles
    driver: Loop | Threads
    due_s = time.monotonic()

    def look() -> bool:
        nonlocal due_s
        if time.monotonic() >= due_s:
            due_s = time.monotonic() + TELL_EVERY_S
            tell(len(driver.recorder))
        return stop()

    driver = Loop(plan, look) if _can_wait(plan) else Threads(plan, look)
    driver.run()
    samples = driver.sampler.samples if isinstance(driver, Loop) else driver.samples
    operations = driver.recorder.operations
    save(History(operations, samples=tuple(samples), origin=plan.name), plan.out)
    return {**told(operations), "samples": len(samples), "slowest_s": slowest_ns(operations) / 1e9}


def slowest_ns(operations: Operations) -> int:
    """The longest that an answer took; 0 when there was none."""
    times = zip(operations.call_ns, operations.return_ns, strict=True)
    return max((back - call for call, back in times if back != NEVER), default=0)


def _can_wait(plan: LoadPlan) -> bool:
    """Whether every node's protocol keeps a connection that many can be waited on at once."""
    clients = [connect(node.program, node.host, node.port, names=node.names) for node in plan.nodes]
    return all(isinstance(client, StreamClient) and client.lasting for client in clients)
