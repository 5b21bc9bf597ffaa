"""Dask loads this into each worker process of a local cluster.

Ctrl-C at the terminal is for the campaign, which ends its workers.
"""

from __future__ import annotations

import signal
import threading


def dask_setup(worker: object) -> None:
    """Called by Dask in the worker process."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
