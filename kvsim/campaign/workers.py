"""Distribute trials with Dask: to workers on this machine, or to those of a scheduler.

Records nothing.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from kvsim.campaign.worker_task import work
from kvsim.errors import UsageError
from kvsim.trials.trial import Trial

DASK_SETTINGS = {
    "logging.distributed": "critical",
    # Dask samples the stack of every worker; nothing here reads the samples.
    "distributed.worker.profile.interval": "10s",
    "distributed.comm.timeouts.connect": "10s",
}
# Submitted ahead: enough that no worker waits, few enough that results do not pile up.
SUBMITTED_PER_WORKER = 4
SUBMITTED_MIN = 16
REASON_MAX = 300

# Called with a trial and what `work` returned for it.
OnResult = Callable[[Trial, Mapping[str, Any]], None]


class Lost(Struct, frozen=True):
    """A trial that no worker finished, and the reason in one line."""

    trial: Trial
    reason: str


@contextlib.contextmanager
def workers(scheduler: str | None, jobs: int, scratch: Path) -> Iterator[Any]:
    """A client of the scheduler at that address; without one, of `jobs` local worker processes.

    Raises UsageError.
    """
    distributed = _dask()
    importlib.import_module("dask").config.set({"temporary-directory": str(scratch)})
    with contextlib.ExitStack() as stack:
        if scheduler is None:
            scheduler = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=jobs,
                    threads_per_worker=1,
                    processes=True,
                    memory_limit=0,
                    # None would mean one fixed port, and a warning where it is in use.
                    dashboard_address="127.0.0.1:0",
                    worker_dashboard_address="127.0.0.1:0",
                    local_directory=str(scratch),
                    silence_logs=logging.CRITICAL,
                    preload=["kvsim.campaign.dask_preload"],
                )
            )
        try:
            client = stack.enter_context(distributed.Client(scheduler, set_as_default=False))
        except (OSError, ValueError) as error:
            raise UsageError(
                f"--scheduler {scheduler}: no Dask scheduler answers there: {error}"
            ) from error
        yield client


def distribute(
    client: Any,
    trials: Iterable[Trial],
    limit_s: float,
    on_result: OnResult,
    task: Callable[..., Any] = work,
) -> list[Lost]:
    """Make all trials on the client's workers; returns those that were lost.

    `on_result` is called in this thread. When a worker dies, Dask gives its trial to another
    worker; a trial that several workers died of is lost.
    """
    distributed = _dask()
    waiting, lost = iter(trials), []
    ahead = max(SUBMITTED_MIN, SUBMITTED_PER_WORKER * sum(client.nthreads().values()))
    submitted: dict[str, Trial] = {}

    def submit(trial: Trial) -> Any:
        submitted[trial.key] = trial
        return client.submit(
            task, trial.to_json(), limit_s, str(Path.cwd()), key=f"kvsim-{trial.key}", pure=False
        )

    futures = distributed.as_completed(
        [submit(trial) for trial in itertools.islice(waiting, ahead)], loop=client.loop
    )
    for future in futures:
        trial = submitted.pop(future.key.removeprefix("kvsim-"))
        if future.status == "finished":
            on_result(trial, future.result())
        else:
            lost.append(Lost(trial, _reason(future)))
        future.release()
        for following in itertools.islice(waiting, 1):
            futures.add(submit(following))
    return lost


def _reason(future: Any) -> str:
    if future.status != "error":
        return f"{future.status}: the scheduler or the connection to it is gone"
    return f"{type(future.exception()).__name__}: {future.exception()}".splitlines()[0][:REASON_MAX]


def _dask() -> Any:
    """Dask, imported late because only campaigns need it. Raises UsageError without it."""
    try:
        importlib.import_module("dask").config.set(DASK_SETTINGS)
        return importlib.import_module("distributed")
    except ImportError as error:
        raise UsageError(
            f"campaigns need Dask ({error.name} is not installed): pip install distributed, "
            "or with pipx: pipx inject kvsim distributed"
        ) from error
