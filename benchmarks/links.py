"""What a link adds to a round trip on loopback, and what it lets through: an echo, with and without a link before it.

A proxy anywhere; as root also the hub between two network namespaces, and how long it takes to lay those.
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

from kvsim.faults.links.child import LinkProxies
from kvsim.faults.links.pump import Road
from kvsim.faults.netns.child import Network, NoNetwork
from kvsim.process.netns import inside
from kvsim.process.ports import reserve

Address = tuple[str, int]
LOOPBACK = "127.0.0.1"
PORT = 10_000
TRIPS = 3000
WARM = 200
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
    """A server that sends back what it gets, in a process of its own."""
    argv = [str(Path(sys.executable).resolve()), "-I", "-S", "-c", ECHO, address[0], str(address[1])]
    with inside(net):
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
    taken = []
    with connected(address) as sock:
        for _ in range(WARM + TRIPS):
            begin = time.perf_counter_ns()
            sock.send(b"PUT key value\n")
            sock.recv(CHUNK)
            taken.append(time.perf_counter_ns() - begin)
    return statistics.median(taken[WARM:]) / 1000


def through_mb_s(address: Address) -> float:
    """Megabytes a second, there and back, a chunk at a time."""
    chunk, left = bytes(CHUNK), BYTES
    with connected(address) as sock:
        begin = time.perf_counter()
        while left > 0:
            sock.sendall(chunk)
            got = 0
            while got < CHUNK:
                got += len(sock.recv(CHUNK))
            left -= CHUNK
        return BYTES / 1e6 / (time.perf_counter() - begin)


def main() -> int:
    arguments = parser(__doc__).parse_args()
    report = Report(arguments.json)
    with reserve(2) as ports:
        direct, proxied = ((LOOPBACK, port) for port in ports.ports)
        with echo(direct), LinkProxies([Road("client->n1", proxied, direct)], "1"):
            measure(report, "links", direct, proxied, arguments.runs)
            try:
                netns(report, direct, arguments.runs)
            except NoNetwork as error:
                print(f"nothing of network namespaces: {error}", file=sys.stderr)
    report.close()
    return 0


def netns(report: Report, direct: Address, runs: int) -> None:
    """The same between two hosts, against the same loopback. Raises NoNetwork."""
    begin = time.perf_counter()
    with Network(["client", "n1", "n2", "n3"], "1") as network:
        report.add("netns.laid", time.perf_counter() - begin, "s for three nodes and clients", "<= 0.5")
        far = (network.addresses["n1"], PORT)
        with echo(far, network.nets["n1"]):
            measure(report, "netns", direct, far, runs, network.nets["client"])


def measure(
    report: Report, name: str, direct: Address, far: Address, runs: int, net: int | None = None
) -> None:
    """Round trips and throughput of the echo at `far`, made inside `net`, and of the one on loopback, by turns."""

    def there(figure: Callable[[Address], float]) -> float:
        with inside(net):
            return figure(far)

    trips = [(round_trip_us(direct), there(round_trip_us)) for _ in range(runs)]
    rates = [(through_mb_s(direct), there(through_mb_s)) for _ in range(runs)]
    plain, spread = summary([one[0] for one in trips])
    added, added_spread = summary([one[1] - one[0] for one in trips])
    rate, rate_spread = summary([one[1] for one in rates])
    share, share_spread = summary([one[1] / one[0] for one in rates])
    report.add(f"{name}.direct", plain, "us a round trip, median", "", spread)
    report.add(f"{name}.added", added, "us a round trip, median", "<= 150", added_spread)
    report.add(f"{name}.through", rate, "MB/s there and back", "", rate_spread)
    report.add(f"{name}.through_share", share, "of direct", "", share_spread)


if __name__ == "__main__":
    sys.exit(main())
