"""How much one load process drives against Redis, its history kept, over `redis-benchmark` at the same number of clients.

Neither pipelines. The load records key, value, node, outcome and two monotonic times of every operation in columns; what it
costs to save them is not counted, as redis-benchmark saves nothing. On a machine that is busy with other things the rates say who was
scheduled; the processor time an operation (whole processes: start, history and saving too) says it there. Needs redis-server and
redis-benchmark.
"""

from __future__ import annotations

import contextlib
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from _driving import drive, program
from _figures import Report, parser, summary

from kvsim.process.ports import reserve

OPERATIONS = 100_000
REDIS = program("redis/node.yaml")
CLIENTS = (10, 50)


@contextlib.contextmanager
def redis(port: int) -> Iterator[None]:
    """A Redis that keeps nothing on disk."""
    words = ["redis-server", "--port", str(port), "--save", "", "--appendonly", "no", "--bind", "127.0.0.1"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        while subprocess.run(["redis-cli", "-p", str(port), "ping"], capture_output=True).returncode:
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


def benchmark(port: int, clients: int) -> float:
    """Operations a second of redis-benchmark."""
    words = ["redis-benchmark", "-p", str(port), "-c", str(clients), "-n", str(OPERATIONS), "-t", "set"]
    said = subprocess.run([*words, "--csv"], capture_output=True, text=True, check=True).stdout
    return float(re.findall(r'"SET","([0-9.]+)"', said)[0])


def with_cpu_us(measure: Callable[[], float]) -> tuple[float, float]:
    """Operations a second, and microseconds of processor time an operation of the processes that made them."""
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    rate = measure()
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent_s = end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime
    return rate, spent_s / OPERATIONS * 1e6


def main() -> int:
    arguments = parser(__doc__).parse_args()
    report = Report(arguments.json)
    if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
        print("redis-server and redis-benchmark are not installed: nothing was measured", file=sys.stderr)
        return 0
    with reserve(1) as ports, redis(ports.ports[0]):
        for clients in CLIENTS:
            _measure(report, ports.ports[0], clients, arguments.runs)
    report.close()
    return 0


def _measure(report: Report, port: int, clients: int, runs: int) -> None:
    """Redis' own, one process, two processes, in turn, so that the machine's moods hit all alike."""
    rounds = [
        (
            with_cpu_us(lambda: benchmark(port, clients)),
            with_cpu_us(lambda: drive(REDIS, port, clients, OPERATIONS)),
            drive(REDIS, port, clients, OPERATIONS, processes=2),
        )
        for _ in range(runs)
    ]
    peer, _ = summary([theirs for (theirs, _), _, _ in rounds])
    rate, _ = summary([ours for _, (ours, _), _ in rounds])
    ratio, spread = summary([ours / theirs for (theirs, _), (ours, _), _ in rounds])
    cpu, cpu_spread = summary([ours / theirs for (_, theirs), (_, ours), _ in rounds])
    two, two_spread = summary([both / ours for _, (ours, _), both in rounds])
    report.add(f"load.redis_benchmark.{clients}", peer, "operations/s")
    report.add(f"load.kvsim.{clients}", rate, "operations/s")
    report.add(f"load.ratio.{clients}", ratio, "of redis-benchmark", ">= 1", spread)
    report.add(f"load.cpu.{clients}", cpu, "of redis-benchmark's an operation", "", cpu_spread)
    report.add(f"load.two_processes.{clients}", two, "of one process", ">= 1", two_spread)


if __name__ == "__main__":
    sys.exit(main())
