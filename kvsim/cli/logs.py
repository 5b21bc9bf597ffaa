"""Print the logs of the cluster that is up, or of a recorded run, each line with its node's name.

Lines of different nodes are in the order in which kvsim observed them: for a recorded run, and for
a cluster that is followed. Lines that a cluster logged before have no such order; they are printed
node by node.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from kvsim.cli.arguments import Subcommand, add_cluster
from kvsim.cli.loading import load_running
from kvsim.cli.output import uses_colour
from kvsim.cli.streams import is_broken, trusted
from kvsim.errors import UsageError
from kvsim.folders import find_paths
from kvsim.history.journal import ends
from kvsim.history.run_record import read_meta, read_run_events
from kvsim.logs.merge import Arrival, NodeLogs, dump, follow
from kvsim.run_directory import find_run
from kvsim.text import escape

COLOURS = (36, 33, 35, 32, 34, 31)
WIDTH_MIN = 24


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("node", nargs="*", metavar="NODE", help="only these nodes (default: all)")
    parser.add_argument(
        "--run", type=Path, metavar="RUN", help="the logs of a recorded run instead: runs/latest"
    )
    parser.add_argument(
        "-f",
        "--follow",
        action="store_true",
        help="continue as the logs grow, until the cluster is down or the run is over",
    )
    parser.add_argument(
        "--columns", action="store_true", help="one column per node, as wide as the terminal allows"
    )
    add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    source = RunLogs(arguments.run) if arguments.run else ClusterLogs(arguments.cluster)
    names = _chosen(arguments.node, source.nodes)
    format_line = _formatter(names, columns=arguments.columns)

    def chosen(logs: NodeLogs) -> NodeLogs:
        return [(node, path) for node, path in logs if node in names]

    if arguments.follow:

        def found() -> NodeLogs | None:
            return None if source.is_over() else chosen(source.logs())

        lines = follow(found, threading.Event().wait, from_start=True)
    else:
        lines = dump(chosen(source.logs()), source.arrivals())
    for name, text in lines:
        print(format_line(name, escape(text)), file=trusted(sys.stdout))
        if is_broken(sys.stdout):
            break
    return 0


class ClusterLogs:
    """The logs of the cluster that is up: of the present incarnation of each node."""

    def __init__(self, cluster: Path) -> None:
        self._background = load_running(cluster)
        self._nodes = self._background.attach_read_only().nodes
        self.nodes = list(self._nodes)
        self._state = self._background.read()

    def is_over(self) -> bool:
        """Whether the cluster is down. Looks again at what is up."""
        self._state = self._background.read()
        return self._state is None

    def logs(self) -> NodeLogs:
        state = self._state or {"nodes": {}}
        return [
            (name, path)
            for name, node in self._nodes.items()
            for path in (_log_of(state["nodes"].get(name)), *node.extra_log_paths())
            if path is not None
        ]

    def arrivals(self) -> list[Arrival]:
        """None is known."""
        return []


def _log_of(node: Mapping[str, Any] | None) -> Path | None:
    return Path(node["log"]) if node and node.get("log") else None


class RunLogs:
    """The logs of a run: of all starts of each node."""

    def __init__(self, reference: Path) -> None:
        self._run = find_run(reference)
        self.nodes = list(read_meta(self._run)["nodes"])
        self._was_over = False

    def is_over(self) -> bool:
        """Whether the run was over when this was asked before: all of it was read since."""
        was_over, self._was_over = self._was_over, ends(self._run.journal)
        return was_over

    def logs(self) -> NodeLogs:
        paths = find_paths(self._run.path, "nodes/*/*.log")
        return [(path.parent.name, path) for path in sorted(paths, key=_start_of) if path.is_file()]

    def arrivals(self) -> list[Arrival]:
        """When which log had which size, from the run's journal."""
        return [
            Arrival(event.at_s, self._run.log(event["node"], event["incarnation"]), event["size"])
            for event in read_run_events(self._run)
            if event.kind == "log"
        ]


def _start_of(log: Path) -> tuple[str, int, str]:
    """`2.log` is the output of a node's second start, `2-server.log` a file that it wrote."""
    number = log.stem.partition("-")[0]
    return log.parent.name, int(number) if number.isdecimal() else 0, log.stem


def _chosen(names: list[str], known: list[str]) -> list[str]:
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UsageError(f"no node is called `{unknown[0]}`; there are {', '.join(known)}")
    return [name for name in known if not names or name in names]


def _formatter(names: list[str], *, columns: bool) -> Callable[[str, str], str]:
    """A function from node and line to text: the node's name first, or in the node's column.

    At a terminal each node has its colour.
    """
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    coloured = uses_colour(sys.stdout)

    def colour(name: str, text: str) -> str:
        return f"\033[{colours[name]}m{text}\033[0m" if coloured else text

    if not columns:
        return lambda name, text: f"{colour(name, name)}  {text}"
    terminal = shutil.get_terminal_size((WIDTH_MIN * len(names), 24))
    width = max(WIDTH_MIN, terminal.columns // max(1, len(names)))
    return lambda name, text: " " * (width * names.index(name)) + colour(name, text[: width - 1])


COMMANDS = {"logs": Subcommand(__doc__, configure, run)}
