"""The reference store beside Redis: throughput, durable writes, replication, memory, restart,
snapshots.

`redis-benchmark` is the load for both (Debian packages redis-server and redis-tools). Against etcd
(etcd-server) it is kvsim's own load. Each ratio is the median of pairs measured one after the
other, because the machine's speed changes.

    python benchmarks/store.py [--json] [--runs 5] [--requests 100000] [--keys 1000000] [--only
    PART]
"""

from __future__ import annotations

import json
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import _other_stores
from _figures import Report, parser, summary
from _load import drive, program_of

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "nodes" / "kvstore" / "__main__.py"
PYTHON = str(Path(sys.executable).resolve())
KEY_SPACE = 100_000
VALUE_BYTES = 32


def free_port() -> int:
    with socket.socket() as probe:
        for port in range(21_000 + time.time_ns() % 4000, 32_000):
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def ask(port: int, line: str, timeout_s: float = 60.0) -> str:
    """Send one line of the line protocol, return the reply."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=timeout_s) as sock,
        sock.makefile("rb") as reader,
    ):
        sock.sendall(line.encode() + b"\n")
        return reader.readline().decode().strip()


def status(port: int) -> dict:
    return json.loads(ask(port, "STATUS"))


@contextmanager
def server(argv: list[str], port: int) -> Iterator[subprocess.Popen]:
    """Run a server until the block ends; it accepts connections when the block begins."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline_s = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline_s:
                    raise RuntimeError(f"{argv[0]} did not start") from None
                time.sleep(0.002)
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def redis(folder: Path, *options: str) -> Iterator[int]:
    port, data_dir = free_port(), folder / f"redis{time.monotonic_ns()}"
    data_dir.mkdir()
    argv = ["redis-server", "--port", str(port), "--dir", str(data_dir), "--save", "", *options]
    with server(argv, port):
        yield port


def store_argv(port: int, data_dir: Path, *options: str) -> list[str]:
    role = () if any(option.startswith("--role") for option in options) else ("--role=leader",)
    return [
        PYTHON,
        "-I",
        "-S",
        str(PROGRAM),
        f"--port={port}",
        f"--data-dir={data_dir}",
        *role,
        *options,
    ]


@contextmanager
def store(folder: Path, *options: str) -> Iterator[int]:
    port = free_port()
    with server(store_argv(port, folder / f"store{port}", *options), port):
        yield port


def rate(port: int, test: str, requests: int, clients: int, pipeline: int = 1) -> float:
    """Operations per second of redis-benchmark against a server."""
    argv = ["redis-benchmark", "-p", str(port), "-t", test, "-n", str(requests), "-c", str(clients)]
    argv += ["-P", str(pipeline), "-d", str(VALUE_BYTES), "-r", str(KEY_SPACE), "--csv"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=True)
    return float(done.stdout.splitlines()[-1].split(",")[1].strip('"'))


def paired(
    report: Report,
    name: str,
    runs: int,
    goal: str,
    ours: Callable[[], float],
    theirs: Callable[[], float],
) -> None:
    """Report the median ratio of pairs, and the median rates."""
    pairs = [(ours(), theirs()) for _ in range(runs)]
    mine, _ = summary([pair[0] for pair in pairs])
    other, _ = summary([pair[1] for pair in pairs])
    ratio, spread = summary([pair[0] / pair[1] for pair in pairs])
    report.add(name, ratio, "ratio", goal, f"{spread}; {mine:,.0f} against {other:,.0f} per s")


def bench_serving(report: Report, options, folder: Path) -> None:
    """SET and GET without persistence."""
    with redis(folder, "--appendonly", "no") as theirs, store(folder, "--fsync=never") as ours:
        for clients, pipeline, goal in (
            (1, 1, ""),
            (10, 1, ">= 0.85"),
            (50, 1, ">= 0.85"),
            (50, 16, ">= 0.65"),
        ):
            requests = options.requests * (5 if pipeline > 1 else 1) // (5 if clients == 1 else 1)
            for test in ("set", "get"):
                paired(
                    report,
                    f"{test}, {clients} clients, pipeline {pipeline}, "
                    "against Redis without persistence",
                    options.runs,
                    goal,
                    lambda test=test, n=requests, c=clients, p=pipeline: rate(ours, test, n, c, p),
                    lambda test=test, n=requests, c=clients, p=pipeline: rate(
                        theirs, test, n, c, p
                    ),
                )


def bench_durable(report: Report, options, folder: Path) -> None:
    """Writes that are synced before they are acknowledged, and writes synced once a second."""
    for fsync, policy, goal, part in (
        ("always", "always", ">= 1.0", 10),
        ("interval", "everysec", ">= 0.8", 1),
    ):
        with (
            redis(folder, "--appendonly", "yes", "--appendfsync", policy) as theirs,
            store(folder, f"--fsync={fsync}") as ours,
        ):
            for clients in (10, 50):
                paired(
                    report,
                    f"set, {clients} clients, fsync={fsync}, against appendfsync {policy}",
                    options.runs,
                    goal,
                    lambda c=clients, n=options.requests // part: rate(ours, "set", n, c),
                    lambda c=clients, n=options.requests // part: rate(theirs, "set", n, c),
                )


@contextmanager
def cluster(folder: Path, mode: str, *options: str) -> Iterator[list[int]]:
    """A leader with two linked followers; yields their ports."""
    with ExitStack() as stack:
        leader = stack.enter_context(store(folder, f"--replication={mode}", *options))
        address = f"--leader=127.0.0.1:{leader}"
        followers = [
            stack.enter_context(store(folder, "--role=follower", address, *options))
            for _ in range(2)
        ]
        while len(status(leader)["followers"]) < 2:
            time.sleep(0.01)
        yield [leader, *followers]


def bench_replication(report: Report, options, folder: Path) -> None:
    """One leader, two followers: majority against async, lag, and how fast a follower applies."""
    for fsync in ("never", "always"):
        with (
            cluster(folder, "majority", f"--fsync={fsync}") as majority,
            cluster(folder, "async", f"--fsync={fsync}") as asynchronous,
        ):
            for clients in (10, 50):
                paired(
                    report,
                    f"set, {clients} clients, fsync={fsync}, majority against async",
                    options.runs,
                    ">= 0.5",
                    lambda c=clients: rate(majority[0], "set", options.requests // 4, c),
                    lambda c=clients: rate(asynchronous[0], "set", options.requests // 4, c),
                )
    with cluster(folder, "async", "--fsync=never") as ports:
        measure_lag(report, ports, options)


def measure_lag(report: Report, ports: list[int], options) -> None:
    argv = [
        "redis-benchmark",
        "-p",
        str(ports[0]),
        "-t",
        "set",
        "-n",
        str(options.requests * 5),
        "-c",
        "50",
        "-P",
        "16",
    ]
    load = subprocess.Popen(
        [*argv, "-r", str(KEY_SPACE), "-d", str(VALUE_BYTES)], stdout=subprocess.DEVNULL
    )
    lags = []
    while load.poll() is None:
        lags.append(max((follower["lag"] for follower in status(ports[0])["followers"]), default=0))
        time.sleep(0.02)
    began_s, leader = time.monotonic(), status(ports[0])["applied"]
    for port in ports[1:]:
        ask(port, f"WAIT {leader} 60000")
    catch_up_s = time.monotonic() - began_s
    report.add(
        "largest replication lag under full load", max(lags), "writes", "", f"{len(lags)} samples"
    )
    report.add("followers caught up after the load ended", catch_up_s, "s")


def rss_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmRSS")


def fill(port: int, keys: int) -> None:
    """Set keys of 16 bytes to values of 32, in long pipelines."""
    with socket.create_connection(("127.0.0.1", port)) as sock, sock.makefile("rb") as reader:
        for start in range(0, keys, 1000):
            count = min(1000, keys - start)
            words = [
                b"*3\r\n$3\r\nSET\r\n$16\r\nkey:%012d\r\n$32\r\n%032d\r\n" % (n, n)
                for n in range(start, start + count)
            ]
            sock.sendall(b"".join(words))
            reader.read(5 * count)


def bench_size(report: Report, options, folder: Path) -> None:
    """Memory for many keys, restart with them, and the wait of a client during their snapshot."""
    keys, data_dir, port = options.keys, folder / "big", free_port()
    with redis(folder, "--appendonly", "no") as theirs:
        pid = int(redis_info(theirs, "process_id"))
        empty = rss_bytes(pid)
        fill(theirs, keys)
        redis_bytes = (rss_bytes(pid) - empty) / keys
    with server(store_argv(port, data_dir, "--fsync=never"), port) as process:
        empty = rss_bytes(process.pid)
        fill(port, keys)
        ours = (rss_bytes(process.pid) - empty) / keys
        report.add(
            f"memory per key, {keys:,} keys, against Redis",
            ours / redis_bytes,
            "ratio",
            "<= 2.5",
            f"{ours:.0f} against {redis_bytes:.0f} bytes",
        )
        without_ms = longest_wait_without_snapshot_s(port) * 1000
        wait_ms = longest_wait_s(port, keys) * 1000
        detail = f"{without_ms:.1f} ms without one"
        report.add("longest wait of a client while a snapshot is made", wait_ms, "ms", "", detail)
    measure_restart(report, options, data_dir, "with these keys", "<= 2")
    with server(store_argv(port, data_dir, "--fsync=never"), port):
        scatter(port, keys, keys // 4)
    # Most of the time goes into splitting the log and adding its keys to a dictionary at random
    # positions, and STATUS has to look for these keys in every chunk of the snapshot.
    measure_restart(report, options, data_dir, "after scattered writes", "<= 2")


def scatter(port: int, keys: int, count: int) -> None:
    """Set keys that are drawn at random to values of random lengths."""
    draw = random.Random(1)
    with socket.create_connection(("127.0.0.1", port)) as sock, sock.makefile("rb") as reader:
        for _ in range(0, count, 1000):
            words = []
            for _ in range(1000):
                key, value = b"key:%012d" % draw.randrange(keys), b"v" * draw.randrange(65)
                header = b"*3\r\n$3\r\nSET\r\n$16\r\n%b\r\n" % key
                words.append(header + b"$%d\r\n%b\r\n" % (len(value), value))
            sock.sendall(b"".join(words))
            reader.read(5 * 1000)


def redis_info(port: int, name: str) -> str:
    done = subprocess.run(
        ["redis-cli", "-p", str(port), "INFO"], capture_output=True, text=True, check=True
    )
    return next(
        line.split(":")[1] for line in done.stdout.splitlines() if line.startswith(name + ":")
    )


def longest_wait_s(port: int, keys: int) -> float:
    """The longest round trip of a small client, in seconds, while a snapshot is made."""
    snapshots, longest = {status(port)["snapshot"]}, 0.0
    deadline_s = time.monotonic() + 60
    with socket.create_connection(("127.0.0.1", port)) as sock, sock.makefile("rb") as reader:
        # The first change may be the end of a snapshot that was under way before.
        while len(snapshots) < 3 and time.monotonic() < deadline_s:
            snapshots.add(status(port)["snapshot"])
            fill(port, min(keys, 20_000))
            longest = max(longest, longest_of(200, sock, reader))
    return longest


def longest_wait_without_snapshot_s(port: int) -> float:
    """The longest round trip of the same client while no snapshot is made."""
    with socket.create_connection(("127.0.0.1", port)) as sock, sock.makefile("rb") as reader:
        return longest_of(20_000, sock, reader)


def longest_of(count: int, sock: socket.socket, reader) -> float:
    longest = 0.0
    for _ in range(count):
        began_s = time.perf_counter()
        sock.sendall(b"PUT k v\n")
        reader.readline()
        longest = max(longest, time.perf_counter() - began_s)
    return longest


def measure_restart(report: Report, options, data_dir: Path, state: str, goal: str) -> None:
    """Report how long a start takes until the node listens, beside a process that does only what
    every start has to do, and beside a bare read of the files; each time one after the other.

    The goal is about processor time, which other processes on the machine do not lengthen.
    """
    over_least, over_least_cpu, over_read, least_over_read, counted = [], [], [], [], []
    times_s = []
    for _ in range(options.runs):
        read_s = bare_read_s(data_dir)
        port = free_port()
        least = [PYTHON, "-I", "-S", "-c", LEAST_START, str(port), str(data_dir)]
        least_s, least_cpu_s, _ = start_s(least, port, lambda _: None)
        port = free_port()
        argv = store_argv(port, data_dir, "--fsync=never")
        took_s, took_cpu_s, counted_s = start_s(argv, port, status)
        times_s.append(took_s)
        over_least.append(took_s / least_s)
        over_least_cpu.append(took_cpu_s / least_cpu_s)
        over_read.append(took_s / read_s)
        least_over_read.append(least_s / read_s)
        counted.append(counted_s / read_s)
    name = f"restart {state}, against the least that a start has to do"
    ratio, spread = summary(over_least)
    report.add(name, ratio, "ratio", "", f"{spread}; {summary(times_s)[0]:.2f} s")
    ratio, spread = summary(over_least_cpu)
    report.add(f"{name}, CPU time", ratio, "ratio", goal, spread)
    # Without a goal: the least that a start has to do is several times a bare read itself.
    for name, ratios in (
        (f"restart {state}, against a bare read of the files", over_read),
        (f"restart {state}, against a bare read, until the first STATUS", counted),
        (f"the least that a start has to do {state}, against a bare read", least_over_read),
    ):
        ratio, spread = summary(ratios)
        report.add(name, ratio, "ratio", "", spread)


def start_s(argv: list[str], port: int, ask: Callable[[int], object]) -> tuple[float, float, float]:
    """Start a server: the seconds and the CPU seconds until it listens, and the seconds until it
    has answered what `ask` asks.
    """
    began_s = time.perf_counter()
    with server(argv, port) as process:
        listens_s, used_s = time.perf_counter() - began_s, cpu_s(process.pid)
        ask(port)
        return listens_s, used_s, time.perf_counter() - began_s


# What every start of a node in Python has to do, as a process: begin, read all files, compare their
# checksums, put each key of the log into a dictionary, without which no node knows how many keys it
# has, and listen. The keys of a snapshot are counted there and need not be read. Each step is done
# in the fastest way that is known: sets of equal size, as `fill` writes them, are cut by size.
# It imports only what it uses: what the node's program imports beyond that counts as the node's.
LEAST_START = r"""
import os, re, select, socket, struct, sys, zlib
port, folder = sys.argv[1:]
logged = re.compile(rb"SET\r\n\$\d+\r\n([^\r]*)\r\n\$\d+\r\n([^\r]*)\r\n")
begins = b"*3\r\n$3\r\nSET\r\n$16\r\n"
equal = struct.Struct("18x16s7x32s2x")
state = {}
for name in os.listdir(folder):
    with open(os.path.join(folder, name), "rb") as file:
        data = file.read()
    zlib.crc32(data)
    at = data.find(b"kvR1") if name.startswith("log-") else -1
    while at >= 0 and data[at : at + 4] == b"kvR1":
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        payload = data[at + 32 : at + 32 + size]
        is_equal = size % equal.size == 0 and payload.startswith(begins)
        state.update(equal.iter_unpack(payload) if is_equal else logged.findall(payload))
        at += 32 + size
listening = socket.create_server(("127.0.0.1", int(port)))
select.select([], [], [], 60)
"""


def bare_read_s(folder: Path) -> float:
    """Read all files of a folder; return the seconds that this takes."""
    began_s = time.perf_counter()
    for path in folder.iterdir():
        path.read_bytes()
    return time.perf_counter() - began_s


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that the first thread of a process has used."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def bench_other_stores(report: Report, options, folder: Path) -> None:
    """Majority against other stores of three nodes: PySyncObj's replicated dictionary, and etcd."""
    if _other_stores.has_pysyncobj():
        against_pysyncobj(report, options, folder)
    if _other_stores.has_etcd():
        against_etcd(report, options, folder)


def against_pysyncobj(report: Report, options, folder: Path) -> None:
    """In memory, with as many writes under way: of redis-benchmark, and of PySyncObj itself."""
    with cluster(folder, "majority", "--fsync=never") as ports:
        for writers in (10, 50):
            paired(
                report,
                f"set, {writers} outstanding, majority against PySyncObj in memory",
                options.runs,
                ">= 1.0",
                lambda n=writers: rate(ports[0], "set", 20_000, n),
                lambda n=writers: _other_stores.pysyncobj_rate(n),
            )


def against_etcd(report: Report, options, folder: Path) -> None:
    """On disk at a majority. kvsim's load writes to the leaders: lines, and etcd's JSON gateway."""
    ours, theirs = program_of("kvstore/majority.yaml"), program_of("etcd/node.yaml")
    with (
        cluster(folder, "majority", "--fsync=always") as ports,
        _other_stores.etcd(folder) as leader,
    ):
        for clients in (10, 50):
            count = options.requests // 20
            paired(
                report,
                f"put, {clients} clients, fsync=always, majority against etcd's JSON gateway",
                options.runs,
                ">= 1.0",
                lambda c=clients, n=count: drive(ours, ports[0], c, n),
                lambda c=clients, n=count: drive(theirs, leader, c, n),
            )


PARTS = {
    "serving": bench_serving,
    "durable": bench_durable,
    "replication": bench_replication,
    "size": bench_size,
    "other_stores": bench_other_stores,
}


def main() -> int:
    """Run the chosen parts. Returns 1 when the tools of Redis are missing."""
    arguments = parser(__doc__)
    arguments.add_argument(
        "--requests", type=int, default=100_000, help="requests per measurement (default: 100000)"
    )
    arguments.add_argument(
        "--keys", type=int, default=1_000_000, help="keys for memory and restart (default: 1000000)"
    )
    arguments.add_argument("--only", choices=PARTS, help="one part only")
    options = arguments.parse_args()
    missing = [
        name
        for name in ("redis-server", "redis-benchmark", "redis-cli")
        if shutil.which(name) is None
    ]
    if missing:
        print(
            f"not measured: {', '.join(missing)} missing "
            "(Debian packages redis-server, redis-tools)",
            file=sys.stderr,
        )
        return 1
    report = Report(options.json)
    for name, part in PARTS.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="kvsim-bench-") as folder:
                part(report, options, Path(folder))
    report.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
