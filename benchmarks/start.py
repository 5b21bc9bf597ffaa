"""Time until a cluster is ready, over the floor: as many bare Python processes that listen.

Also the whole `kvsim run scenarios/roles.yaml` and `kvsim up` as processes, beside an older commit
with its byte-code compiled as here; `kvsim --help` over `python -c pass`; a node's memory (PSS).
"""

from __future__ import annotations

import compileall
import contextlib
import functools
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
from _figures import Report, parser, summary, unpacked

from kvsim.config.cluster import Cluster, NodeSpec
from kvsim.config.program import Role
from kvsim.config.program_loader import load_program
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node
from kvsim.network.addresses import NodeAddress
from kvsim.process.environment import ProcessTag
from kvsim.process.ports import reserve
from kvsim.runner.registry import REGISTRY

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
    """A cluster of reference nodes that is ready, and the seconds from first spawn to ready."""
    program = load_program("kvstore", ROOT, [], REGISTRY)
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
        NodeAddress(node, whole.host, port, str(folder / node.name / "data"))
        for node, port in zip(nodes, ports, strict=True)
    ]
    run = uuid.uuid4().hex
    held = [
        Node(place, ProcessTag(run, place.node.name), folder / place.node.name) for place in places
    ]
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
                pss += [_pss_mib(node.started_process.pid) for node in launcher.nodes.values()][:3]
        ratios.append(ours[-1] / floor[-1])
    report.add(
        f"{count} nodes ready",
        1000 * summary(ours)[0],
        "ms",
        spread=summary([1000 * one for one in ours])[1],
    )
    report.add(
        f"{count} bare processes",
        1000 * summary(floor)[0],
        "ms",
        spread=summary([1000 * one for one in floor])[1],
    )
    report.add(
        f"{count} nodes over the floor", summary(ratios)[0], "ratio", "<= 2", summary(ratios)[1]
    )
    report.add(f"{count} nodes: memory of one (PSS)", *_with_spread(pss, "MiB"))


def _pss_mib(pid: int) -> float:
    return psutil.Process(pid).memory_full_info().pss / 2**20


def _with_spread(values: list[float], unit: str) -> tuple[float, str, str, str]:
    value, spread = summary(values)
    return value, unit, "", spread


CLUSTER = """cluster: bench
program: {root}/nodes/kvstore/node.yaml
nodes:
  n1: {{role: leader, port: 9001}}
{followers}
"""


def timed(argv: list[str], folder: Path) -> float:
    """Seconds that one process takes."""
    begin = time.monotonic()
    subprocess.run(argv, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin


def roles_run(root: Path) -> float:
    """Seconds of the main job as a user calls it, with the kvsim of this checkout."""
    with tempfile.TemporaryDirectory() as out:
        argv = [sys.executable, "-m", "kvsim", "run", "scenarios/roles.yaml", "--out", out]
        return timed(argv, root)


def brought_up(root: Path, count: int) -> float:
    """Seconds of `kvsim up` for so many nodes."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cluster.yaml"
        followers = "\n".join(
            f"  n{n}: {{role: follower, port: {9000 + n}}}" for n in range(2, count + 1)
        )
        file.write_text(CLUSTER.format(root=root, followers=followers), encoding="utf-8")
        kvsim = [sys.executable, "-m", "kvsim"]
        try:
            return timed([*kvsim, "up", "--cluster", str(file)], root)
        finally:
            timed([*kvsim, "down", "--cluster", str(file)], root)


def side_by_side(
    name: str, measure: Callable[[Path], float], older: Path | None, runs: int, report: Report
) -> None:
    """One job with this checkout and with the older one, in turn on the same machine."""
    now: list[float] = []
    before: list[float] = []
    for _ in range(runs):
        now.append(measure(ROOT))
        if older is not None:
            before.append(measure(older))
    report.add(name, summary(now)[0], "s", spread=summary(now)[1])
    if before:
        ratios = [one / other for one, other in zip(now, before, strict=True)]
        report.add(f"{name}, before", summary(before)[0], "s", spread=summary(before)[1])
        report.add(
            f"{name}, over before", summary(ratios)[0], "ratio", "<= 1.0", summary(ratios)[1]
        )


def help_over_nothing(runs: int, report: Report) -> None:
    """What `kvsim --help` takes beyond an interpreter that imports nothing."""
    extra = []
    for _ in range(4 * runs):
        nothing = timed([sys.executable, "-c", "pass"], ROOT)
        extra.append(1000 * (timed([sys.executable, "-m", "kvsim", "--help"], ROOT) - nothing))
    report.add(
        "kvsim --help over python -c pass", summary(extra)[0], "ms", "<= 30", summary(extra)[1]
    )


def main() -> int:
    made = parser(__doc__)
    made.add_argument(
        "--nodes",
        type=int,
        nargs="*",
        default=[3, 20, 200],
        help="cluster sizes (default: 3 20 200)",
    )
    made.add_argument(
        "--against", metavar="REV", help="an older commit whose whole runs stand beside (f585766)"
    )
    arguments = made.parse_args()
    report = Report(arguments.json)
    for count in arguments.nodes:
        compare(count, arguments.runs if count < 100 else min(arguments.runs, 3), report)
    compileall.compile_dir(ROOT / "kvsim", quiet=1)
    with contextlib.ExitStack() as stack:
        older = stack.enter_context(unpacked(arguments.against)) if arguments.against else None
        side_by_side("kvsim run scenarios/roles.yaml", roles_run, older, arguments.runs, report)
        for count in arguments.nodes:
            if count < 100:
                bring_up = functools.partial(brought_up, count=count)
                side_by_side(f"kvsim up, {count} nodes", bring_up, older, arguments.runs, report)
    help_over_nothing(arguments.runs, report)
    report.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
