"""What a worker does: one trial at a time, in a folder of its own, and back with plain values. Knows nothing of Dask but its folder."""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from kvsim.campaign.archive import pack
from kvsim.trials.running import Around, make
from kvsim.trials.trial import BAD, Result, Trial

ONE = threading.Lock()  # one run at a time in a worker, however many threads it was started with


def work(fields: Mapping[str, Any], limit_s: float, cwd: str, scratch: str | None = None) -> dict[str, Any]:
    """Make one trial; `result` as JSON, `archive` (bytes or None), `worker`. The run dies with this process, and its nodes with it."""
    with ONE:
        out = Path(tempfile.mkdtemp(prefix="run-", dir=scratch or _scratch()))
        try:
            result = make(Trial.from_json(fields), out, limit_s, Around(cwd=Path(cwd)))
            packed = pack(Path(result.run)) if result.run and result.ending in BAD else None
            return {"result": _to_travel(result).to_json(), "archive": packed, "worker": _name()}
        finally:
            shutil.rmtree(out, ignore_errors=True)


def _to_travel(result: Result) -> Result:
    """The folder stays here and is removed; the archive goes instead."""
    return replace(result, run="", why=result.why.replace(result.run, "RUN") if result.run else result.why)


def _scratch() -> str | None:
    """The worker's own folder, which Dask clears after a crash; None: the system's."""
    from distributed import get_worker

    try:
        return get_worker().local_directory
    except ValueError:
        return None


def _name() -> str:
    from distributed import get_worker

    try:
        return f"{socket.gethostname()} {get_worker().address}"
    except ValueError:
        return socket.gethostname()
