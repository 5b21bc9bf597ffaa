"""What kvsim costs with any store: requests, and the start of a cluster.

A request of each protocol is compared with a bare loop that does the same; these figures have no
goal. The time until a Redis leader with two replicas and a three-node etcd are ready is compared
with a shell script that starts the same; it may be 1.2 times as long. Servers that are not
installed are left out, with a line on stderr.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from _figures import Report, parser, summary

from kvsim.client.connect import connect
from kvsim.client.exchange import Request
from kvsim.config.cluster import Cluster
from kvsim.config.cluster_loader import load_cluster
from kvsim.config.program import Program, ReplyRule, Speak
from kvsim.launcher.launcher import Launcher
from kvsim.launcher.node import Node
from kvsim.network.addresses import NodeAddress
from kvsim.process.environment import ProcessTag
from kvsim.process.ports import reserve

ROOT = Path(__file__).parent.parent
REQUESTS, COMMANDS = 2000, 100
VALUE = ReplyRule("value", "^VALUE (?P<value>.*)$")
# Answers each request with a value. It does little, because the client is measured.
SERVER = """
import socket, struct, sys
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen(); print(l.getsockname()[1], flush=True)
kind = sys.argv[1]
reply = {"lines": b"VALUE v\\n", "frames": struct.pack(">I", 7) + b"VALUE v",
         "resp": b"$7\\r\\nVALUE v\\r\\n",
         "http": b"HTTP/1.1 200 OK\\r\\nContent-Length: 7\\r\\n\\r\\nVALUE v"}[kind]
while True:
    c, _ = l.accept(); c.setsockopt(6, 1, 1)
    while c.recv(65536):
        c.sendall(reply)
"""
REQUEST = {
    "lines": "GET {key}",
    "frames": "GET {key}",
    "resp": ("GET", "{key}"),
    "http": {"path": "/{key}", "value": "raw"},
}
SENT = {
    "lines": b"GET k\n",
    "frames": struct.pack(">I", 5) + b"GET k",
    "resp": b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
    "http": b"GET /k HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
}


@contextlib.contextmanager
def server(kind: str) -> Iterator[int]:
    """The port of a server that answers each request with a value."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", SERVER, kind], stdout=subprocess.PIPE, text=True
    )
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def program_with(kind: str, request: object) -> Program:
    """A program with a `get`."""
    pattern = "VALUE (?P<value>.*)$"
    return Program(
        "bench",
        ROOT,
        {},
        speak=Speak(kind),
        requests={"get": request},
        replies={"get": (ReplyRule("value", pattern),)},
    )


def client_us(program: Program, port: int, count: int) -> float:
    """Microseconds per request of kvsim's client."""
    client = connect(program, "127.0.0.1", port, names={"port": str(port)})
    request = Request("get", {"key": "k"})
    # Connect, and wait for a second reply behind the first one.
    client.ask(request, 1.0)
    begin = time.perf_counter()
    for _ in range(count):
        client.ask(request, 1.0)
    took_s = time.perf_counter() - begin
    client.close()
    return took_s / count * 1e6


def bare_socket_us(kind: str, port: int, count: int) -> float:
    """Microseconds per request of a plain loop: send, receive until the reply is whole."""
    with socket.create_connection(("127.0.0.1", port)) as plain:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begin = time.perf_counter()
        for _ in range(count):
            plain.sendall(SENT[kind])
            reply = b""
            while b"VALUE v" not in reply:
                reply += plain.recv(65536)
        return (time.perf_counter() - begin) / count * 1e6


def requests(runs: int, report: Report) -> None:
    for kind, request in REQUEST.items():
        with server(kind) as port:
            program = program_with(kind, request)
            pairs = [
                (client_us(program, port, REQUESTS), bare_socket_us(kind, port, REQUESTS))
                for _ in range(runs)
            ]
        _report(report, kind, pairs)
    command = ("/bin/echo", "VALUE", "{key}")
    program = program_with("command", command)
    pairs = [(client_us(program, 1, COMMANDS), bare_command_us(COMMANDS)) for _ in range(runs)]
    _report(report, "command", pairs)


def bare_command_us(count: int) -> float:
    begin = time.perf_counter()
    for _ in range(count):
        subprocess.run(
            ["/bin/echo", "VALUE", "k"], capture_output=True, check=True, stdin=subprocess.DEVNULL
        )
    return (time.perf_counter() - begin) / count * 1e6


def _report(report: Report, kind: str, pairs: list[tuple[float, float]]) -> None:
    ours, bare = zip(*pairs, strict=True)
    overhead, spread = summary([client - loop for client, loop in pairs])
    report.add(f"{kind}: a request of the client", *_row(ours, "us"))
    report.add(f"{kind}: a request of a bare loop", *_row(bare, "us"))
    report.add(f"{kind}: difference", overhead, "us", "", spread)


def _row(values, unit: str) -> tuple[float, str, str, str]:
    median, spread = summary(values)
    return median, unit, "", spread


REDIS = """
cd "$1"; shift
for port in $1 $2 $3; do
  mkdir d$port; follow=
  [ $port = $1 ] || follow="--replicaof 127.0.0.1 $1"
  redis-server --bind 127.0.0.1 --port $port --dir "$PWD/d$port" --protected-mode no \\
    --appendonly yes --appendfsync always --save "" \\
    --repl-diskless-sync yes --repl-diskless-sync-delay 0 $follow > d$port/log 2>&1 &
done
for port in $1 $2 $3; do
  until redis-cli -p $port info 2>/dev/null | grep -q "role:master\\|master_link_status:up"; do
    sleep 0.01
  done
  until redis-cli -p $port info | grep -q "aof_rewrite_in_progress:0"; do sleep 0.01; done
done
"""
ETCD = """
cd "$1"; shift
all="n1=http://127.0.0.1:$4,n2=http://127.0.0.1:$5,n3=http://127.0.0.1:$6"
start() {
  etcd --name=$1 --data-dir="$PWD/$1" --initial-cluster=$all \\
    --listen-client-urls=http://127.0.0.1:$2 --advertise-client-urls=http://127.0.0.1:$2 \\
    --listen-peer-urls=http://127.0.0.1:$3 --initial-advertise-peer-urls=http://127.0.0.1:$3 \\
    --heartbeat-interval=50 --election-timeout=500 > $1.log 2>&1 &
}
start n1 $1 $4; start n2 $2 $5; start n3 $3 $6
for port in $1 $2 $3; do
  until curl -s -m 0.2 http://127.0.0.1:$port/health | grep -q true; do sleep 0.01; done
done
"""


def script_start_s(script: str, ports: list[int]) -> float:
    """Seconds of a shell script that starts the same cluster and waits for it by polling."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        begin = time.monotonic()
        process = subprocess.Popen(
            ["/bin/sh", "-c", script, "sh", folder, *map(str, ports)], start_new_session=True
        )
        process.wait(60)
        took_s = time.monotonic() - begin
        end_session(process.pid)
    return took_s


def end_session(session: int) -> None:
    """End each process of the script's session, by pid."""
    from kvsim.process.identity import identify
    from kvsim.process.process_tree import Snapshot
    from kvsim.process.termination import KILL_NOW, stop_tree

    for pid in Snapshot().groups.get(session, set()):
        found = identify(pid)
        if found:
            stop_tree(found, KILL_NOW)


def kvsim_start_s(cluster: Cluster, ports: list[int]) -> float:
    """Seconds until kvsim reports that the cluster is ready."""
    with tempfile.TemporaryDirectory() as folder:
        tag, rest, nodes = uuid.uuid4().hex, list(ports[len(cluster.nodes) :]), []
        for node, port in zip(cluster.nodes, ports, strict=False):
            extra = {name: rest.pop(0) for name in node.program.ports}
            address = NodeAddress(
                node, cluster.host, port, str(Path(folder) / node.name / "data"), extra
            )
            nodes.append(Node(address, ProcessTag(tag, node.name), Path(folder) / node.name))
        launcher = Launcher(cluster, nodes, lambda *_, **__: None)
        try:
            begin = time.monotonic()
            launcher.start_all()
            return time.monotonic() - begin
        finally:
            launcher.kill_all()
            launcher.reap()


def starts(name: str, script: str, ports: int, runs: int, report: Report) -> None:
    cluster = load_cluster(ROOT / "clusters" / f"{name}.yaml")
    measures: list[Callable[[list[int]], float]] = [
        lambda p: kvsim_start_s(cluster, p),
        lambda p: script_start_s(script, p),
    ]
    took: list[list[float]] = [[], []]
    for _ in range(runs):
        for index, measure in enumerate(measures):
            with reserve(ports) as reservation:
                took[index].append(measure(list(reservation.ports)) * 1000)
    ours, bare = took
    report.add(f"{name}: ready with kvsim", *_row(ours, "ms"))
    report.add(f"{name}: ready by a shell script", *_row(bare, "ms"))
    ratio = statistics.median(ours) / statistics.median(bare)
    report.add(f"{name}: kvsim over the script", ratio, "ratio", "<= 1.2")


def main() -> None:
    options = parser(__doc__).parse_args()
    report = Report(options.json)
    requests(options.runs, report)
    for name, script, ports, tools in (
        ("redis", REDIS, 3, ("redis-server", "redis-cli")),
        ("etcd", ETCD, 6, ("etcd", "curl")),
    ):
        missing = [tool for tool in tools if shutil.which(tool) is None]
        if missing:
            print(
                f"# {name} is left out: {', '.join(missing)} not installed (make real-setup)",
                file=sys.stderr,
            )
        else:
            # The time of an election varies.
            starts(name, script, ports, options.runs * (3 if name == "etcd" else 1), report)
    report.close()


if __name__ == "__main__":
    main()
