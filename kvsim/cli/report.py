"""Write a run's film (report.html) and trace.json again from its run directory; --open shows the film in the browser.

Every `kvsim run` writes both at its end; this is for a run in which kvsim itself was ended, or was copied from elsewhere.
trace.json is in the Trace Event format: load it in Perfetto or in Chrome's tracing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from kvsim.errors import Exit
from kvsim.report.write import write_reports
from kvsim.rundir import find_run


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN", help="a run directory; runs/latest is the newest")
    parser.add_argument("--open", action="store_true", help="show the film in the browser")


def run(arguments: argparse.Namespace) -> int:
    found = find_run(arguments.run)
    write_reports(found)
    print(found.film)
    if arguments.open:
        import webbrowser

        webbrowser.open(found.film.as_uri())
    return int(Exit.PASS)
