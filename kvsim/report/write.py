"""Write what a person looks at into a run directory: report.html (the film) and trace.json. Also of a run that broke off."""

from __future__ import annotations

import json
import subprocess
import sys

from kvsim.evidence.proof import Proof, judge, unjudged
from kvsim.history.record import Record
from kvsim.report.film.data import film_data
from kvsim.report.film.page import page
from kvsim.report.trace import trace
from kvsim.rundir import RunDir, write_whole

APART_S = 120.0


def write_reports(run: RunDir, proof: Proof | None = None) -> None:
    """Write both files. Raises UsageError when the run cannot be read, RunInvalid when the disk does not take them.

    Whatever of the run cannot be judged, or of its loads cannot be read, is left out, and the page says so.
    """
    record = Record.load(run)
    epoch_ns = next((event["epoch_ns"] for event in record.of_kind("load_start")), 0)
    proof = proof or _judged(record)
    record = _readable(record)
    data = film_data(run, record, proof, record.history, epoch_ns)
    write_whole(run.film, page(data))
    write_whole(run.trace, json.dumps(trace(record), separators=(",", ":")) + "\n")


def write_reports_apart(run: RunDir) -> str:
    """The same in a process of its own, because this one is not well; in words what went wrong, or nothing."""
    words = [sys.executable, "-m", "kvsim", "report", str(run.path)]
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=APART_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1] if done.returncode else ""


def _judged(record: Record) -> Proof:
    try:
        return judge(record)
    except (
        Exception
    ) as error:  # what ended the run may end this, too; what was recorded is shown all the same
        return unjudged(record, f"{type(error).__name__}: {error}")


def _readable(record: Record) -> Record:
    """The record, without its loads where they cannot be read."""
    try:
        _ = record.history
    except Exception:  # `_judged` has met the same error and said it
        return Record(record.meta, record.events, record.logs)
    return record
