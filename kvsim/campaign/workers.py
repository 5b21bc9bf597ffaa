"""The one file that talks to Dask: a cluster of workers, trials handed out, results handed back. Records nothing."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvsim.campaign.task import work
from kvsim.errors import UsageError
from kvsim.trials.trial import Trial

QUIET = {
    "logging.distributed": "critical",
    "distributed.worker.profile.interval": "10s",  # its sampling of every worker's stack is of no use to us
    "distributed.comm.timeouts.connect": "10s",
}
WAITING_PER_WORKER = (
    4  # trials handed out ahead: enough that no worker waits, few enough that results do not pile up
)
WAITING_LEAST = 16

Came = Callable[[Trial, Mapping[str, Any]], None]


@dataclass(frozen=True)
class Lost:
    """A trial that no worker brought to an end, and why, in one line."""

    trial: Trial
    why: str


@contextlib.contextmanager
def workers(scheduler: str | None, jobs: int, scratch: Path) -> Iterator[Any]:
    """A client of the scheduler at that address or, without one, of `jobs` worker processes on this machine. Raises UsageError."""
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
                    dashboard_address="127.0.0.1:0",  # None means one fixed port, and a warning where that is taken
                    worker_dashboard_address="127.0.0.1:0",
                    local_directory=str(scratch),
                    silence_logs=logging.CRITICAL,
                    preload=["kvsim.campaign.preload"],
                )
            )
        try:
            client = stack.enter_context(distributed.Client(scheduler, set_as_default=False))
        except (OSError, ValueError) as error:
            raise UsageError(f"--scheduler {scheduler}: no Dask scheduler answers there: {error}") from error
        yield client


def hand_out(
    client: Any, trials: Iterable[Trial], limit_s: float, came: Came, task: Callable[..., Any] = work
) -> list[Lost]:
    """Make all trials on the client's workers; `came` gets each as it comes back, in this thread. Those that never came.

    A trial whose worker dies is given to another by Dask; one that took several workers with it is given up and is lost.
    """
    distributed = _dask()
    waiting, lost = iter(trials), []
    ahead = max(WAITING_LEAST, WAITING_PER_WORKER * sum(client.nthreads().values()))
    mine: dict[str, Trial] = {}

    def submit(trial: Trial) -> Any:
        mine[trial.key] = trial
        return client.submit(
            task, trial.to_json(), limit_s, str(Path.cwd()), key=f"kvsim-{trial.key}", pure=False
        )

    coming = distributed.as_completed(
        [submit(trial) for trial in itertools.islice(waiting, ahead)], loop=client.loop
    )
    for future in coming:
        trial = mine.pop(future.key.removeprefix("kvsim-"))
        if future.status == "finished":
            came(trial, future.result())
        else:
            lost.append(Lost(trial, _why(future)))
        future.release()
        for following in itertools.islice(waiting, 1):
            coming.add(submit(following))
    return lost


def _why(future: Any) -> str:
    if future.status != "error":
        return f"{future.status}: the scheduler or the connection to it is gone"
    return f"{type(future.exception()).__name__}: {future.exception()}".splitlines()[0][:300]


def _dask() -> Any:
    """Dask, imported late and told to be quiet. Raises UsageError when it is not installed."""
    try:
        importlib.import_module("dask").config.set(QUIET)
        return importlib.import_module("distributed")
    except ImportError as error:
        raise UsageError(
            f"campaigns need Dask ({error.name} is not installed): pip install 'kvsim[campaign]'"
        ) from error
