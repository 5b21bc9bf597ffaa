"""Print the logs of the cluster that is up, or of a recorded run, each line with its node's name.

Lines of different nodes stand in the order in which they were seen; a log that was written before is printed node by node.
"""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from kvsim.cli.arguments import add_cluster
from kvsim.cli.files import load_running
from kvsim.cli.terminal import is_terminal
from kvsim.errors import UsageError
from kvsim.logs.merge import dump, follow
from kvsim.rundir import find_run

COLOURS = (36, 33, 35, 32, 34, 31)


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node", nargs="*", metavar="NODE", help="only these nodes (default: all)")
    parser.add_argument(
        "--run", type=Path, metavar="RUN", help="the logs of a recorded run instead: runs/latest"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on as the logs grow, until Ctrl-C")
    add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    files = _wanted(
        arguments.node, _of_run(arguments.run) if arguments.run else _of_cluster(arguments.cluster)
    )
    paint = _painter(list(files)) if is_terminal(sys.stdout) else "{0}  {1}".format
    lines = (
        follow(lambda: files, threading.Event().wait, from_start=True) if arguments.follow else dump(files)
    )
    for name, text in lines:
        print(paint(name, text), flush=arguments.follow)
    return 0


def _of_cluster(path: Path) -> dict[str, Path]:
    launcher = load_running(path).held()
    return {node.name: node.log_path for node in launcher.nodes.values()}


def _of_run(reference: Path) -> dict[str, Path]:
    """The log of each node's last start."""
    logs = sorted(
        find_run(reference).path.glob("nodes/*/*.log"),
        key=lambda path: (path.parent.name, path.stat().st_mtime),
    )
    return {path.parent.name: path for path in logs if path.stem.isdigit()}


def _wanted(names: list[str], files: dict[str, Path]) -> dict[str, Path]:
    unknown = [name for name in names if name not in files]
    if unknown:
        raise UsageError(f"no node is called `{unknown[0]}`; there are {', '.join(files)}")
    return {name: path for name, path in files.items() if not names or name in names}


def _painter(names: list[str]):
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}
    return lambda name, text: f"\033[{colours[name]}m{name}\033[0m  {text}"
