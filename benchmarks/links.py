"""What a link proxy adds to a round trip on loopback, and what it lets through: an echo, with and without a proxy before it."""

from __future__ import annotations

import contextlib
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from _figures import Report, parser, summary

from kvsim.faults.links.child import LinkProxies
from kvsim.faults.links.pump import Road
from kvsim.process.ports import reserve

TRIPS = 3000
WARM = 200
BYTES = 20_000_000
CHUNK = 65536
ECHO = """
import socket, sys, threading
def serve(connection):
    while data := connection.recv(65536):
        connection.sendall(data)
listening = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("up", flush=True)
while True:
    connection, _ = listening.accept()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    threading.Thread(target=serve, args=(connection,), daemon=True).start()
"""


@contextlib.contextmanager
def echo(port: int) -> Iterator[None]:
    """A server that sends back what it gets, in a process of its own."""
    argv = [str(Path(sys.executable).resolve()), "-I", "-S", "-c", ECHO, str(port)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as process:
        try:
            process.stdout.readline()
            yield
        finally:
            process.kill()


@contextlib.contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def round_trip_us(port: int) -> float:
    """The median of many small round trips."""
    taken = []
    with connected(port) as sock:
        for _ in range(WARM + TRIPS):
            begin = time.perf_counter_ns()
            sock.send(b"PUT key value\n")
            sock.recv(CHUNK)
            taken.append(time.perf_counter_ns() - begin)
    return statistics.median(taken[WARM:]) / 1000


def through_mb_s(port: int) -> float:
    """Megabytes a second, there and back, a chunk at a time."""
    chunk, left = bytes(CHUNK), BYTES
    with connected(port) as sock:
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
    with reserve(2) as ports, echo(ports.ports[0]):
        direct, proxied = ports.ports
        road = Road("client->n1", ("127.0.0.1", proxied), ("127.0.0.1", direct))
        with LinkProxies([road], "1"):
            trips = [(round_trip_us(direct), round_trip_us(proxied)) for _ in range(arguments.runs)]
            rates = [(through_mb_s(direct), through_mb_s(proxied)) for _ in range(arguments.runs)]
    plain, spread = summary([one[0] for one in trips])
    added, added_spread = summary([one[1] - one[0] for one in trips])
    rate, rate_spread = summary([one[1] for one in rates])
    share, share_spread = summary([one[1] / one[0] for one in rates])
    report.add("links.direct", plain, "us a round trip, median", "", spread)
    report.add("links.added", added, "us a round trip, median", "<= 150", added_spread)
    report.add("links.through", rate, "MB/s there and back", "", rate_spread)
    report.add("links.through_share", share, "of direct", "", share_spread)
    report.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
