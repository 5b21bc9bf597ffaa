"""Watch the cluster that is up: who is what, what it costs, how fast it answers, what it logged last. Ctrl-C ends it.

Asks every node for its status, and looks at its processes, once an interval; nothing is written. Piped, it prints one table and ends.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from kvsim.cli.arguments import add_cluster
from kvsim.cli.files import load_running
from kvsim.cli.terminal import is_terminal, table
from kvsim.client.status import ask_status
from kvsim.errors import Exit
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node
from kvsim.logs.tail import LogFile
from kvsim.logs.text import printable
from kvsim.process.tree import members

HEADS = ("node", "role", "state", "pid", "cpu", "memory", "answers in", "keys", "applied", "last log line")
ASK_TIMEOUT_S = 0.5
LINE_WIDTH = 60
TICKS_S, PAGE_BYTES = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--interval", type=float, default=1.0, metavar="SECONDS", help="between two looks (default: 1)"
    )
    parser.add_argument("--once", action="store_true", help="look once and end")
    add_cluster(parser)


def run(arguments: argparse.Namespace) -> int:
    watch = Watch(load_running(arguments.cluster).held())
    if arguments.once or not is_terminal(sys.stdout):
        print(table(HEADS, watch.look()))
        return int(Exit.PASS)
    _live(watch, max(0.1, arguments.interval))
    return int(Exit.PASS)


def _live(watch: Watch, interval_s: float) -> None:
    """Draw until Ctrl-C."""
    from rich.live import Live

    try:
        with Live(_drawn(watch), screen=True, auto_refresh=False) as live:
            while True:
                time.sleep(interval_s)
                live.update(_drawn(watch), refresh=True)
    except KeyboardInterrupt:
        return


def _drawn(watch: Watch):
    from rich.table import Table
    from rich.text import Text

    drawn = Table(
        title=f"{watch.launcher.cluster.name}, {time.strftime('%H:%M:%S')}",
        title_justify="left",
        box=None,
        pad_edge=False,
    )
    for head in HEADS:
        drawn.add_column(
            head,
            no_wrap=True,
            justify="right" if head in {"pid", "cpu", "memory", "answers in", "keys", "applied"} else "left",
        )
    for row in watch.look():
        style = "bold red" if row[2] != "up" else "bold" if row[1] == "leader" else ""
        drawn.add_row(*(Text(cell) for cell in row), style=style)  # Text: a log line is no markup
    return drawn


@dataclass(frozen=True)
class Used:
    """What a node's processes had used of the processor at a time, both in seconds."""

    at_s: float
    cpu_s: float


class Watch:
    """Looks at the nodes again and again; remembers the last look, for shares of the processor."""

    def __init__(self, launcher: Launcher) -> None:
        self.launcher = launcher
        self._before: dict[str, Used] = {}

    def look(self) -> list[list[str]]:
        """A row of cells for each node."""
        return [self._row(node) for node in self.launcher.nodes.values()]

    def _row(self, node: Node) -> list[str]:
        last = _last_line(node.log_path)
        if not node.up:
            return [node.name, f"({node.spec.role})", "down", "-", "-", "-", "-", "-", "-", last]
        tree = [one.pid for one in members(node.process.identity, node.mark)]
        client = self.launcher.connect(node.name)
        try:
            status = ask_status(client, node.program, ASK_TIMEOUT_S)
        finally:
            client.close()
        told = status is not None and status.answered
        role = str(status.role) if told and status.role else f"({node.spec.role})"
        state = "up" if status is None or told else f"no answer ({status.answer.outcome.reason})"
        exchange = status.answer.exchange if told else None
        latency = f"{(exchange.completed_ns - exchange.invoked_ns) / 1e6:.1f} ms" if exchange else "-"
        fields = status.fields if told else {}
        pid = str(node.process.pid)
        return [
            node.name,
            role,
            state,
            pid,
            self._cpu(node.name, tree),
            _memory(tree),
            latency,
            fields.get("keys", "-"),
            fields.get("applied", "-"),
            last,
        ]

    def _cpu(self, name: str, pids: list[int]) -> str:
        """The share of one processor since the last look; the first time there is none."""
        now = Used(time.monotonic(), sum(map(_cpu_s, pids)))
        before = self._before.get(name)
        self._before[name] = now
        if before is None or now.at_s <= before.at_s or now.cpu_s < before.cpu_s:
            return "-"
        return f"{100 * (now.cpu_s - before.cpu_s) / (now.at_s - before.at_s):.0f}%"


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS_S


def _memory(pids: list[int]) -> str:
    """Resident memory of all processes of a node."""
    total = 0
    for pid in pids:
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except (OSError, IndexError):
            continue
    return f"{total * PAGE_BYTES / 2**20:.1f} MiB"


def _last_line(path: Path) -> str:
    lines = LogFile(path).last(1)
    return printable(lines[-1].encode())[:LINE_WIDTH] if lines else ""
