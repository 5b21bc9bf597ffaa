"""Write what a person looks at into a run directory: report.html (the film) and trace.json. Also of a run that crashed."""

from __future__ import annotations

import json

from kvsim.evidence.proof import Proof, judge
from kvsim.history.record import Record
from kvsim.report.film.data import film_data
from kvsim.report.film.page import page
from kvsim.report.trace import trace
from kvsim.rundir import RunDir, write_whole


def write_reports(run: RunDir, proof: Proof | None = None) -> None:
    """Write both files. Raises UsageError when the run cannot be read, RunInvalid when the disk does not take them."""
    record = Record.load(run)
    epoch_ns = next((event["epoch_ns"] for event in record.of_kind("load_start")), 0)
    data = film_data(run, record, proof or judge(record), record.history, epoch_ns)
    write_whole(run.film, page(data))
    write_whole(run.trace, json.dumps(trace(record), separators=(",", ":")) + "\n")
