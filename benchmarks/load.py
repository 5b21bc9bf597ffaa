"""The rate of one load process against Redis over that of `redis-benchmark`, with as many clients.

Neither pipelines. The load records key, value, node, outcome and two monotonic times of every
operation. Saving them is not counted, as redis-benchmark saves nothing. On a machine with other
work the rates depend on the scheduler; then compare the processor time per operation (of whole
processes, with their start and the saving). Needs redis-server and redis-benchmark.
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

from _figures import Report, parser, summary
from _load import drive, program_of

from kvsim.process.ports import reserve

OPERATIONS = 100_000
REDIS = program_of("redis/node.yaml")
CLIENTS = (10, 50)


@contextlib.contextmanager
def redis(port: int) -> Iterator[None]:
    """A Redis without persistence."""
    argv = [
        "redis-server",
        "--port",
        str(port),
        "--save",
        "",
        "--appendonly",
        "no",
        "--bind",
        "127.0.0.1",
    ]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        while subprocess.run(
            ["redis-cli", "-p", str(port), "ping"], capture_output=True
        ).returncode:
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


def benchmark(port: int, clients: int) -> float:
    """Operations per second of redis-benchmark."""
    argv = [
        "redis-benchmark",
        "-p",
        str(port),
        "-c",
        str(clients),
        "-n",
        str(OPERATIONS),
        "-t",
        "set",
    ]
    output = subprocess.run([*argv, "--csv"], capture_output=True, text=True, check=True).stdout
    return float(re.findall(r'"SET","([0-9.]+)"', output)[0])


def with_cpu_us(measure: Callable[[], float]) -> tuple[float, float]:
    """(operations per second, microseconds of processor time per operation).

    The processor time is that of the child processes.
    """
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    rate = measure()
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime
    return rate, cpu_s / OPERATIONS * 1e6


def main() -> int:
    arguments = parser(__doc__).parse_args()
    report = Report(arguments.json)
    if not shutil.which("redis-server") or not shutil.which("redis-benchmark"):
        print(
            "redis-server and redis-benchmark are not installed: nothing was measured",
            file=sys.stderr,
        )
        return 0
    with reserve(1) as ports, redis(ports.ports[0]):
        for clients in CLIENTS:
            _measure(report, ports.ports[0], clients, arguments.runs)
    report.close()
    return 0


def _measure(report: Report, port: int, clients: int, runs: int) -> None:
    """redis-benchmark, one load process and two, in turn, so that all meet the same machine."""
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
    report.add(f"load.cpu.{clients}", cpu, "of redis-benchmark's, per operation", "", cpu_spread)
    report.add(f"load.two_processes.{clients}", two, "of one process", ">= 1", two_spread)


if __name__ == "__main__":
    sys.exit(main())
