"""Many Dask workers in one process, for the benchmark of campaigns.

    _dask_workers.py SCHEDULER WORKERS FOLDER

Writes `ready` when all have started.
"""

from __future__ import annotations

import asyncio
import logging
import sys

import dask
import distributed

STARTED_AT_ONCE = 50


async def main(scheduler: str, count: int, folder: str) -> None:
    """Start the workers; return when the scheduler has ended."""
    workers = []
    while len(workers) < count:
        numbers = range(len(workers), min(count, len(workers) + STARTED_AT_ONCE))
        workers += await asyncio.gather(*(_worker(scheduler, folder, number) for number in numbers))
    print("ready", flush=True)
    await asyncio.gather(*(worker.finished() for worker in workers))


def _worker(scheduler: str, folder: str, number: int) -> distributed.Worker:
    return distributed.Worker(
        scheduler, name=number, nthreads=1, memory_limit=0, local_directory=folder, dashboard=False
    )


if __name__ == "__main__":
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    # Work that each worker does beside its tasks would be done hundreds of times in this process.
    dask.config.set(
        {
            "distributed.worker.profile.enabled": False,
            "distributed.admin.system-monitor.interval": "60s",
        }
    )
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
