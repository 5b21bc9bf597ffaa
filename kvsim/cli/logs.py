"""Print the logs of the cluster that is up, or of a recorded run, each line with its node's name.

Lines of different nodes stand in the order in which they were seen to arrive: of a recorded run, of one that is followed. What a
cluster that is up logged before anybody looked has no such order, and is printed node by node.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from kvsim.cli.arguments import add_cluster
from kvsim.cli.files import load_running
from kvsim.cli.terminal import is_terminal
from kvsim.errors import UsageError
from kvsim.history.journal import read_events
from kvsim.logs.merge import Arrival, dump, follow
from kvsim.rundir import find_run

COLOURS = (36, 33, 35, 32, 34, 31)
LEAST_WIDTH = 24


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node", nargs="*", metavar="NODE", help="only these nodes (default: all)")
    parser.add_argument(
        "--run", type=Path, metavar="RUN", help="the logs of a recorded run instead: runs/latest"
    )
    parser.add_argument("-f", "--follow", action="store_true", help="go on as the logs grow, until Ctrl-C")
    parser.add_argument(
        "--columns", action="store_true", help="a column a node, as wide as the terminal allows"
    )
    add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    found = _of_run(arguments.run) if arguments.run else _of_cluster(arguments.cluster)
    files = _wanted(arguments.node, found)
    printed = _printer(list(files), columns=arguments.columns)
    if arguments.follow:
        lines = follow(lambda: files, threading.Event().wait, from_start=True)
    else:
        lines = dump(files, _arrivals(arguments.run, files) if arguments.run else ())
    for name, text in lines:
        print(printed(name, text), flush=arguments.follow)
    return 0


def _arrivals(reference: Path, files: Mapping[str, Path]) -> list[Arrival]:
    """When the run's journal saw which log how long."""
    events = read_events(find_run(reference).journal)
    return [
        Arrival(event.at_s, event["node"], event["size"])
        for event in events
        if event.kind == "log"
        and event["node"] in files
        and files[event["node"]].stem == str(event["incarnation"])
    ]


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


def _printer(names: list[str], *, columns: bool) -> Callable[[str, str], str]:
    """How a line is printed: node and text, or in its node's column; in the node's colour at a terminal."""
    colours = {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}
    painted = is_terminal(sys.stdout)

    def paint(name: str, text: str) -> str:
        return f"\033[{colours[name]}m{text}\033[0m" if painted else text

    if not columns:
        return lambda name, text: f"{paint(name, name)}  {text}"
    width = max(
        LEAST_WIDTH, shutil.get_terminal_size((LEAST_WIDTH * len(names), 24)).columns // max(1, len(names))
    )
    return lambda name, text: " " * (width * names.index(name)) + paint(name, text[: width - 1])
