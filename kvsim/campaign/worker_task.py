"""What a worker does: one trial at a time, in its own folder; the result as plain values.

Of Dask it knows the worker's folder and name only.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from kvsim.campaign.archive import pack
from kvsim.launcher.watchdog_guard import scratch as temporary_folder
from kvsim.trials.trial import BAD, Trial, TrialResult
from kvsim.trials.trial_process import TrialWrapper, run_trial

# One run at a time in a worker, even when it was started with several threads.
_run_lock = threading.Lock()


def work(
    fields: Mapping[str, Any], limit_s: float, cwd: str, scratch: str | None = None
) -> dict[str, Any]:
    """Make one trial: `result` as JSON, `archive` (bytes or None), `worker`.

    The run and its nodes die with this process.
    """
    with _run_lock:
        parent = scratch or _worker_folder()
        with temporary_folder("run-", parent=Path(parent) if parent else None) as out:
            result = run_trial(Trial.from_json(fields), out, limit_s, TrialWrapper(cwd=Path(cwd)))
            archive = pack(Path(result.run)) if result.run and result.ending in BAD else None
            sent = _without_path(result).to_json()
            return {"result": sent, "archive": archive, "worker": _worker_name()}


def _without_path(result: TrialResult) -> TrialResult:
    """The run directory is removed here; the archive replaces it."""
    message = result.message.replace(result.run, "RUN") if result.run else result.message
    return replace(result, run="", message=message)


def _worker_folder() -> str | None:
    """The worker's own folder, which Dask clears after a crash; None outside a worker."""
    from distributed import get_worker

    try:
        return str(get_worker().local_directory)
    except ValueError:
        return None


def _worker_name() -> str:
    from distributed import get_worker

    try:
        return f"{socket.gethostname()} {get_worker().address}"
    except ValueError:
        return socket.gethostname()
