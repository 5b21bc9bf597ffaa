"""How long until a cluster is ready, over the floor: the same number of bare Python processes that bind and accept.

Also the whole `kvsim run scenarios/roles.yaml`, as a process, and the memory of a node (PSS).
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
from _figures import Report, parser, summary

from kvsim.config.cluster import Cluster, NodeSpec
from kvsim.config.names import Place
from kvsim.config.program import Role
from kvsim.config.program_file import load_program
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node
from kvsim.process.environment import Mark
from kvsim.process.ports import reserve

ROOT = Path(__file__).parent.parent
BARE = """
import _socket, sys
listening = _socket.socket()
listening.setsockopt(1, 2, 1)
listening.bind(("127.0.0.1", int(sys.argv[1])))
listening.listen()
print("up", flush=True)
while True:
    listening._accept()
"""


def bare(ports: list[int]) -> float:
    """Seconds from the first spawn until every bare process listens, told by its own line."""
    begin = time.monotonic()
    argv = [str(Path(sys.executable).resolve()), "-I", "-S", "-c", BARE]
    processes = [
        subprocess.Popen([*argv, str(port)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        for port in ports
    ]
    try:
        for process in processes:
            process.stdout.readline()
        return time.monotonic() - begin
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()
            process.stdout.close()


@contextlib.contextmanager
def cluster(ports: list[int], folder: Path) -> Iterator[tuple[Launcher, float]]:
    """A cluster of reference nodes that is ready, and the seconds from the first spawn until it was."""
    program = load_program("kvstore", ROOT, [])
    nodes = tuple(
        NodeSpec(
            name=f"n{n}",
            role=Role.LEADER if n == 1 else Role.FOLLOWER,
            program=program,
            id=n,
            options=program.options,
        )
        for n in range(1, len(ports) + 1)
    )
    whole = Cluster("bench", folder / "cluster.yaml", nodes)
    places = [
        Place(node, whole.host, port, str(folder / node.name / "data"))
        for node, port in zip(nodes, ports, strict=True)
    ]
    run = uuid.uuid4().hex
    held = [Node(place, Mark(run, place.node.name), folder / place.node.name) for place in places]
    launcher = Launcher(whole, held, lambda *_, **__: None)
    try:
        begin = time.monotonic()
        launcher.start_all()
        yield launcher, time.monotonic() - begin
    finally:
        launcher.stop_all()


def compare(count: int, runs: int, report: Report) -> None:
    """Cluster and floor in turn, so that both see the same machine."""
    ours, floor, ratios, pss = [], [], [], []
    for _ in range(runs):
        with reserve(count) as reservation, tempfile.TemporaryDirectory() as folder:
            floor.append(bare(reservation.ports))
            with cluster(reservation.ports, Path(folder)) as (launcher, took_s):
                ours.append(took_s)
                pss += [_pss_mib(node.process.pid) for node in launcher.nodes.values()][:3]
        ratios.append(ours[-1] / floor[-1])
    report.add(
        f"{count} nodes ready", 1000 * summary(ours)[0], "ms", spread=summary([1000 * one for one in ours])[1]
    )
    report.add(
        f"{count} bare processes",
        1000 * summary(floor)[0],
        "ms",
        spread=summary([1000 * one for one in floor])[1],
    )
    report.add(f"{count} nodes over the floor", summary(ratios)[0], "ratio", "<= 3", summary(ratios)[1])
    report.add(f"{count} nodes: memory of one (PSS)", *_with_spread(pss, "MiB"))


def _pss_mib(pid: int) -> float:
    return psutil.Process(pid).memory_full_info().pss / 2**20


def _with_spread(values: list[float], unit: str) -> tuple[float, str, str, str]:
    value, spread = summary(values)
    return value, unit, "", spread


def whole_run(runs: int, report: Report) -> None:
    """The main job as a user calls it, over starting Python and importing nothing."""

    def timed(argv: list[str]) -> float:
        begin = time.monotonic()
        subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        return time.monotonic() - begin

    with tempfile.TemporaryDirectory() as out:
        job = [sys.executable, "-m", "kvsim", "run", "scenarios/roles.yaml", "--out", out]
        times = [timed(job) for _ in range(runs)]
    nothing = [timed([sys.executable, "-c", "pass"]) for _ in range(runs)]
    helps = [timed([sys.executable, "-m", "kvsim", "--help"]) for _ in range(runs)]
    report.add("kvsim run scenarios/roles.yaml", summary(times)[0], "s", "<= 1.0", summary(times)[1])
    report.add("kvsim --help", summary(helps)[0], "s", "<= 0.2", summary(helps)[1])
    report.add("python -c pass", summary(nothing)[0], "s", spread=summary(nothing)[1])


def main() -> int:
    made = parser(__doc__)
    made.add_argument(
        "--nodes", type=int, nargs="*", default=[3, 20, 200], help="cluster sizes (default: 3 20 200)"
    )
    arguments = made.parse_args()
    report = Report(arguments.json)
    for count in arguments.nodes:
        compare(count, arguments.runs if count < 100 else min(arguments.runs, 3), report)
    whole_run(arguments.runs, report)
    report.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
