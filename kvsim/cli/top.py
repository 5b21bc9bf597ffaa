"""Watch the cluster that is up: roles, memory, threads, files, disk, latency, last log lines.

Asks every node for its status and reads its processes once per interval; writes nothing. Where
stdout is piped, it prints one table and ends.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct, field

from kvsim.argument_types import Seconds
from kvsim.cli.arguments import Subcommand, add_cluster
from kvsim.cli.loading import load_running
from kvsim.cli.output import is_terminal, table
from kvsim.cli.streams import trusted
from kvsim.client.status import ask_status
from kvsim.errors import Exit
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node
from kvsim.logs.log_file import LogFile
from kvsim.process import procfs
from kvsim.process.usage import usage_of
from kvsim.text import escape, printable

if TYPE_CHECKING:
    from rich.table import Table as RichTable

HEADS = (
    "node",
    "role",
    "state",
    "pid",
    "cpu",
    "memory",
    "threads",
    "files",
    "disk",
    "answers in",
    "keys",
    "applied",
    "last log line",
)
# Left out first where the terminal is narrow: the last of these. A node's name and role stay.
PRIORITY = (
    "node",
    "role",
    "state",
    "memory",
    "cpu",
    "answers in",
    "pid",
    "keys",
    "applied",
    "threads",
    "files",
    "disk",
)
LAST_LINE = len(HEADS) - 1
LAST_LINE_MIN = 12
NUMBERS = {"pid", "cpu", "memory", "threads", "files", "disk", "answers in", "keys", "applied"}
# Blanks between two columns.
GAP = 2
ASK_TIMEOUT_S = 0.5
LINE_WIDTH = 60
TICKS_S = os.sysconf("SC_CLK_TCK")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--interval",
        type=Seconds(0.05),
        default=1.0,
        metavar="SECONDS",
        help="time between two observations (default: 1)",
    )
    parser.add_argument("--once", action="store_true", help="observe once and end")
    add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    watch = ClusterWatch(load_running(arguments.cluster).attach_read_only())
    if arguments.once or not is_terminal(sys.stdout):
        print(table(HEADS, watch.observe()))
        return int(Exit.PASS)
    _live(watch, max(0.1, arguments.interval))
    return int(Exit.PASS)


def _live(watch: ClusterWatch, interval_s: float) -> None:
    """Draw until Ctrl-C."""
    from rich.console import Console
    from rich.live import Live

    console = Console(file=trusted(sys.stdout))
    try:
        with Live(
            _drawn(watch, console.width), console=console, screen=True, auto_refresh=False
        ) as live:
            while True:
                time.sleep(interval_s)
                live.update(_drawn(watch, console.width), refresh=True)
    except KeyboardInterrupt:
        return


def _drawn(watch: ClusterWatch, width: int) -> RichTable:
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        title=f"{watch.launcher.cluster.name}, {time.strftime('%H:%M:%S')}",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    rows = watch.observe()
    columns = columns_that_fit(rows, width)
    for column in columns:
        head = HEADS[column]
        drawn.add_column(head, no_wrap=True, justify="right" if head in NUMBERS else "left")
    for row in rows:
        style = "bold red" if row[2] != "up" else "bold" if row[1] == "leader" else ""
        # As Text, because rich would read a log line as markup.
        drawn.add_row(*(Text(escape(row[column])) for column in columns), style=style)
    return drawn


def columns_that_fit(rows: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns, in order, of which every cell is shown whole in `width` characters.

    The last log line takes what is left, and is left out where that is too little.
    """
    widths = [max(len(row[column]) for row in (HEADS, *rows)) for column in range(len(HEADS))]
    kept = [HEADS.index(head) for head in PRIORITY]
    while len(kept) > 2 and sum(widths[column] + GAP for column in kept) - GAP > width:
        kept.pop()
    left = width - sum(widths[column] + GAP for column in kept)
    if len(kept) == len(PRIORITY) and left >= LAST_LINE_MIN:
        kept.append(LAST_LINE)
    return sorted(kept)


class CpuUsage(Struct, frozen=True):
    """The processor time that a node's processes had used at a time, both in seconds."""

    at_s: float
    cpu_s: float


class ClusterWatch:
    """Observes the nodes repeatedly. Keeps the last processor times, to compute shares."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher
        self._before: dict[str, CpuUsage] = {}

    def observe(self) -> list[list[str]]:
        """A row of cells for each node."""
        return [self._row(node) for node in self.launcher.nodes.values()]

    def _row(self, node: Node) -> list[str]:
        last = _last_line(node.log_path)
        process = node.process
        if process is None or not node.up:
            return [node.name, f"({node.spec.role})", "down", *["-"] * (len(HEADS) - 4), last]
        tree = node.tree()
        usage = usage_of(tree, node.data)
        reported = _ask(self.launcher, node)
        return [
            node.name,
            reported.role or f"({node.spec.role})",
            reported.state,
            str(process.pid),
            self._cpu(node.name, [member.pid for member in tree]),
            _mib(usage.memory),
            str(usage.threads),
            str(usage.files),
            _mib(usage.disk),
            reported.latency,
            reported.fields.get("keys", "-"),
            reported.fields.get("applied", "-"),
            last,
        ]

    def _cpu(self, name: str, pids: list[int]) -> str:
        """The share of one processor since the last observation; `-` the first time."""
        now = CpuUsage(time.monotonic(), sum(map(_cpu_s, pids)))
        before = self._before.get(name)
        self._before[name] = now
        if before is None or now.at_s <= before.at_s or now.cpu_s < before.cpu_s:
            return "-"
        return f"{100 * (now.cpu_s - before.cpu_s) / (now.at_s - before.at_s):.0f}%"


class Reported(Struct, frozen=True):
    """What a node reported of itself, as cells of the table. `role` is empty where it has none."""

    state: str = "up"
    role: str = ""
    latency: str = "-"
    fields: Mapping[str, str] = field(default_factory=dict)


def _ask(launcher: Launcher, node: Node) -> Reported:
    client = launcher.connect(node.name)
    try:
        status = ask_status(client, node.program, ASK_TIMEOUT_S, launcher.client_names(node.name))
    finally:
        client.close()
    if status is None:
        return Reported()
    if not status.answered:
        return Reported(state=f"no answer ({status.response.outcome.reason})")
    exchange = status.response.exchange
    took_ms = (exchange.completed_ns - exchange.invoked_ns) / 1e6 if exchange else None
    latency = "-" if took_ms is None else f"{took_ms:.1f} ms"
    return Reported(role=str(status.role or ""), latency=latency, fields=status.fields)


def _cpu_s(pid: int) -> float:
    entry = procfs.stat(pid)
    return entry.cpu_ticks / TICKS_S if entry else 0.0


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"


def _last_line(path: Path) -> str:
    lines = LogFile(path).last(1)
    return printable(lines[-1].encode())[:LINE_WIDTH] if lines else ""


COMMANDS = {"top": Subcommand(__doc__, configure, run)}
