"""Write report.html (the timeline) and trace.json into a run directory.

A run that an error in kvsim ended is written, too: as much of it as can be read and judged.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from kvsim.errors import UsageError
from kvsim.history.build import build_history
from kvsim.history.history import History
from kvsim.history.run_record import RunRecord
from kvsim.proof.proof import Proof, judge, unjudged
from kvsim.report.perfetto import trace
from kvsim.report.timeline.html_page import render_page
from kvsim.report.timeline.model import timeline_data
from kvsim.run_directory import RunDirectory, read_file, write_atomic
from kvsim.text import escape_surrogates

SUBPROCESS_TIMEOUT_S = 120.0


def write_reports(
    run: RunDirectory, record: RunRecord | None = None, proof: Proof | None = None
) -> None:
    """Write both files. `record` and `proof` are the run's, where it was read and judged before.

    What cannot be judged or read is left out, and the page states it. Raises UsageError when the
    run cannot be read, RunInvalid when the files cannot be written.
    """
    for path, text in _render(run, record or RunRecord.load(run), proof).items():
        write_atomic(path, text)


def edited_reports(run: RunDirectory, record: RunRecord, proof: Proof) -> list[str]:
    """One line for each of the two files that is missing, or is not what the recorded run gives."""
    again = f"kvsim report {run.path} writes it again"
    rendered = _render(run, record, proof)
    problems = {path: _problem(path, text) for path, text in rendered.items()}
    return [f"{path}: {problem}; {again}" for path, problem in problems.items() if problem]


def _problem(path: Path, text: str) -> str:
    """What is wrong with a file that must hold this text; empty when nothing is."""
    if not path.exists():
        return "is missing: it was removed, or kvsim was ended before it wrote it"
    try:
        as_written = read_file(path) == escape_surrogates(text).encode("utf-8")
    except UsageError:
        as_written = False
    return "" if as_written else "is not what the recorded run gives"


def _render(run: RunDirectory, record: RunRecord, proof: Proof | None) -> dict[Path, str]:
    """The text of each file."""
    proof, history = _judge(record, proof)
    return {
        run.timeline: render_page(timeline_data(run, record, proof, history)),
        run.trace: json.dumps(trace(record, history), separators=(",", ":")) + "\n",
    }


def write_reports_in_subprocess(run: RunDirectory) -> str:
    """The same in a new process, after an error in this one. The error message, or empty."""
    command = [sys.executable, "-m", "kvsim", "report", str(run.path)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SUBPROCESS_TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or ["no reason given"])[-1]


def _judge(record: RunRecord, proof: Proof | None) -> tuple[Proof, History | None]:
    """The proof, and the history of the loads (None: no load, or it cannot be read)."""
    history: History | None = None
    try:
        history = build_history(record)
        return proof or judge(record), history
    except Exception as error:
        # The error that ended the run may happen here again. What was recorded is shown anyway.
        return unjudged(record, f"{type(error).__name__}: {error}"), history
