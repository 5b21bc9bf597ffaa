"""Show all runs with their verdicts in the browser, and open each: its film, its proof, its trace. On this machine only.

Serves a folder of runs on the loopback until Ctrl-C. Changes nothing but to draw a film that is not there yet.
"""

from __future__ import annotations

import argparse
import contextlib
from pathlib import Path

from kvsim.errors import Exit, UsageError
from kvsim.report.serving import Server

HOST = "127.0.0.1"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="?",
        type=Path,
        default=Path("runs"),
        metavar="RUNS",
        help="a folder of runs (default: runs)",
    )
    parser.add_argument("--port", type=int, default=0, help="listen there (default: a free port)")
    parser.add_argument("--open", action="store_true", help="show the page in the browser")


def run(arguments: argparse.Namespace) -> int:
    if not arguments.runs.is_dir():
        raise UsageError(f"{arguments.runs}: no such folder; kvsim run makes runs/ beside the cluster file")
    try:
        server = Server((HOST, arguments.port), arguments.runs.resolve())
    except OSError as error:
        raise UsageError(f"cannot listen on {HOST} port {arguments.port}: {error.strerror}") from error
    with server, contextlib.suppress(KeyboardInterrupt):
        address = f"http://{HOST}:{server.server_address[1]}/"
        print(f"{address}  (Ctrl-C ends it)", flush=True)
        if arguments.open:
            import webbrowser

            webbrowser.open(address)
        server.serve_forever()
    return int(Exit.PASS)
