"""What a link adds to a round trip on loopback, and its throughput: an echo with and without a
link.

The link is a proxy; as root also the router between two network namespaces, with the time to set it
up.
"""

from __future__ import annotations

import contextlib
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from _figures import Report, parser, summary

from kvsim.network.netns.router_handle import NetworkNamespaces, NoNetwork
from kvsim.network.proxy import Route
from kvsim.network.proxy_handle import WorkerProxies
from kvsim.process.netns import in_namespace
from kvsim.process.ports import reserve

Address = tuple[str, int]
LOOPBACK = "127.0.0.1"
PORT = 10_000
ROUND_TRIPS = 3000
WARM_UP = 200
BYTES = 20_000_000
CHUNK = 65536
ECHO = """
import socket, sys, threading
def serve(connection):
    while data := connection.recv(65536):
        connection.sendall(data)
listening = socket.create_server((sys.argv[1], int(sys.argv[2])))
print("up", flush=True)
while True:
    connection, _ = listening.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
"""


@contextlib.contextmanager
def echo(address: Address, net: int | None = None) -> Iterator[None]:
    """A process that sends back what it receives."""
    argv = [
        str(Path(sys.executable).resolve()),
        "-I",
        "-S",
        "-c",
        ECHO,
        address[0],
        str(address[1]),
    ]
    with in_namespace(net):
        started = subprocess.Popen(argv, stdout=subprocess.PIPE)
    with started as process:
        try:
            process.stdout.readline()
            yield
        finally:
            process.kill()


@contextlib.contextmanager
def connected(address: Address) -> Iterator[socket.socket]:
    with socket.create_connection(address) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def round_trip_us(address: Address) -> float:
    """The median of many small round trips."""
    taken_ns = []
    with connected(address) as sock:
        for _ in range(WARM_UP + ROUND_TRIPS):
            begin = time.perf_counter_ns()
            sock.send(b"PUT key value\n")
            sock.recv(CHUNK)
            taken_ns.append(time.perf_counter_ns() - begin)
    return statistics.median(taken_ns[WARM_UP:]) / 1000


def throughput_mb_s(address: Address) -> float:
    """Megabytes per second in both directions, one chunk at a time."""
    chunk, remaining = bytes(CHUNK), BYTES
    with connected(address) as sock:
        begin = time.perf_counter()
        while remaining > 0:
            sock.sendall(chunk)
            received = 0
            while received < CHUNK:
                received += len(sock.recv(CHUNK))
            remaining -= CHUNK
        return BYTES / 1e6 / (time.perf_counter() - begin)


def main() -> int:
    arguments = parser(__doc__).parse_args()
    report = Report(arguments.json)
    with reserve(2) as ports:
        direct, proxied = ((LOOPBACK, port) for port in ports.ports)
        with echo(direct), WorkerProxies([Route("client->n1", proxied, direct)], "1"):
            measure(report, "links", direct, proxied, arguments.runs)
            try:
                netns(report, direct, arguments.runs)
            except NoNetwork as error:
                print(f"network namespaces were not measured: {error}", file=sys.stderr)
    report.close()
    return 0


def netns(report: Report, direct: Address, runs: int) -> None:
    """The same between two network namespaces. Raises NoNetwork."""
    begin = time.perf_counter()
    with NetworkNamespaces(["client", "n1", "n2", "n3"], "1") as network:
        report.add(
            "netns.setup", time.perf_counter() - begin, "s for three nodes and clients", "<= 0.5"
        )
        far = (network.addresses["n1"], PORT)
        with echo(far, network.namespaces["n1"]):
            measure(report, "netns", direct, far, runs, network.namespaces["client"])


def measure(
    report: Report, name: str, direct: Address, far: Address, runs: int, net: int | None = None
) -> None:
    """Round trips and throughput of the echo at `far`, from inside `net`, and of `direct`."""

    def far_figure(figure: Callable[[Address], float]) -> float:
        with in_namespace(net):
            return figure(far)

    trips = [(round_trip_us(direct), far_figure(round_trip_us)) for _ in range(runs)]
    rates = [(throughput_mb_s(direct), far_figure(throughput_mb_s)) for _ in range(runs)]
    plain, spread = summary([near for near, _ in trips])
    added, added_spread = summary([far - near for near, far in trips])
    rate, rate_spread = summary([far for _, far in rates])
    share, share_spread = summary([far / near for near, far in rates])
    report.add(f"{name}.direct", plain, "us per round trip, median", "", spread)
    report.add(f"{name}.added", added, "us per round trip, median", "<= 150", added_spread)
    report.add(f"{name}.throughput", rate, "MB/s in both directions", "", rate_spread)
    report.add(f"{name}.throughput_share", share, "of direct", "", share_spread)


if __name__ == "__main__":
    sys.exit(main())
