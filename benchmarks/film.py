"""How long the film of a run takes to draw, and how big it is, for 1,000, 10,000 and 100,000 operations of a load.

Also, where Chromium is installed, how long the biggest takes to open and to draw one frame of the whole run.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from _figures import Report, median_of, parser

sys.path.insert(0, str(Path(__file__).parent.parent))

from kvsim.evidence.proof import judge
from kvsim.history.record import Record
from kvsim.report.film.data import film_data
from kvsim.report.film.page import page
from tests.report.browser import browser, missing
from tests.report.runs import load, story

SIZES = (1_000, 10_000, 100_000)
FRAMES = 10


def draw(run, record: Record, proof, history) -> tuple[float, str]:
    """Seconds for one film, and the film."""
    begin = time.perf_counter()
    text = page(film_data(run, record, proof, history))
    return time.perf_counter() - begin, text


def opened(film: Path, report: Report) -> None:
    """Open the film in a real browser and draw frames of the whole run."""
    with browser() as chromium:
        begin = time.perf_counter()
        chromium.open(film)
        report.add("100,000 operations: opened in Chromium", time.perf_counter() - begin, "s", "<= 3")
        frame_ms = chromium.run(
            "const begin = performance.now(); for (let n = 0; n < arguments[0]; n++) window.film.paint();"
            "return (performance.now() - begin) / arguments[0]",
            FRAMES,
        )
        report.add("100,000 operations: one frame of the whole run", frame_ms, "ms", "<= 50")


def main() -> int:
    arguments = parser(__doc__).parse_args()
    report = Report(arguments.json)
    with tempfile.TemporaryDirectory() as folder:
        run = story(Path(folder) / "run")
        record = Record.load(run)
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
        run.film.write_text(text, encoding="utf-8")
        if missing():
            print(f"# not opened: {missing()}", file=sys.stderr)
        else:
            opened(run.film, report)
    report.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
