"""The time to draw the timeline of a run, and its size, for 1,000, 10,000 and 100,000 operations.

Also, where Chromium is installed, the time to open the largest one and to draw a frame of the whole
run.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from _figures import Report, median_of, parser

sys.path.insert(0, str(Path(__file__).parent.parent))

from kvsim.history.run_record import RunRecord
from kvsim.proof.proof import judge
from kvsim.report.timeline.html_page import render_page
from kvsim.report.timeline.model import timeline_data
from tests.report.browser import browser, missing
from tests.report.runs import failed_run, load

SIZES = (1_000, 10_000, 100_000)
FRAMES = 10


def draw(run, record: RunRecord, proof, history) -> tuple[float, str]:
    """(seconds for one timeline, its text)."""
    begin = time.perf_counter()
    text = render_page(timeline_data(run, record, proof, history))
    return time.perf_counter() - begin, text


def measure_browser(timeline: Path, report: Report) -> None:
    """Open the timeline in a real browser and draw frames of the whole run."""
    with browser() as chromium:
        begin = time.perf_counter()
        chromium.open(timeline)
        report.add(
            "100,000 operations: opened in Chromium", time.perf_counter() - begin, "s", "<= 3"
        )
        frame_ms = chromium.run(
            "const begin = performance.now();"
            "for (let n = 0; n < arguments[0]; n++) timeline.state.draw();"
            "return (performance.now() - begin) / arguments[0]",
            FRAMES,
        )
        report.add("100,000 operations: one frame of the whole run", frame_ms, "ms", "<= 50")


def main() -> int:
    arguments = parser(__doc__).parse_args()
    report = Report(arguments.json)
    with tempfile.TemporaryDirectory() as folder:
        run = failed_run(Path(folder) / "run")
        record = RunRecord.load(run)
        proof = judge(record)
        for size in SIZES:
            history = load(size)
            value, spread = median_of(
                lambda given=history: draw(run, record, proof, given)[0], arguments.runs
            )
            text = draw(run, record, proof, history)[1]
            goal = "<= 0.1" if size == SIZES[0] else "<= 2" if size == SIZES[-1] else ""
            report.add(f"{size:,} operations: drawn", value, "s", goal, spread)
            report.add(f"{size:,} operations: size", len(text.encode()) / 2**20, "MiB")
        run.timeline.write_text(text, encoding="utf-8")
        if missing():
            print(f"# not opened in Chromium: {missing()}", file=sys.stderr)
        else:
            measure_browser(run.timeline, report)
    report.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
