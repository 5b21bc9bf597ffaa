"""Many Dask workers in one process, for benchmarks of all but them: `_crowd.py SCHEDULER WORKERS FOLDER`; says `ready`."""

from __future__ import annotations

import asyncio
import logging
import sys

import dask
import distributed

AT_ONCE = 50


async def main(scheduler: str, count: int, folder: str) -> None:
    """Start them, then work until the scheduler has gone."""
    workers = []
    while len(workers) < count:
        several = range(len(workers), min(count, len(workers) + AT_ONCE))
        workers += await asyncio.gather(*(_worker(scheduler, folder, number) for number in several))
    print("ready", flush=True)
    await asyncio.gather(*(worker.finished() for worker in workers))


def _worker(scheduler: str, folder: str, number: int) -> distributed.Worker:
    return distributed.Worker(
        scheduler, name=number, nthreads=1, memory_limit=0, local_directory=folder, dashboard=False
    )


if __name__ == "__main__":
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    # what a worker does beside its work would be done hundreds of times in one process
    dask.config.set(
        {"distributed.worker.profile.enabled": False, "distributed.admin.system-monitor.interval": "60s"}
    )
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
