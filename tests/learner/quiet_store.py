"""A store that elects and reports no role (tests only): the first node that is up leads.

`quiet_store.py PORT OTHER_PORT…`: of all ports in order, the first one that takes connections is
the leader's. A follower refuses writes. The leader sends each write to the others. `forwards` as
the last argument: a follower takes writes, too.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import sys

forwards = sys.argv[-1] == "forwards"
port, *others = map(int, sys.argv[1 : len(sys.argv) - forwards])
data: dict[str, str] = {}


def send(to: int, line: str) -> str:
    with socket.create_connection(("127.0.0.1", to), 2) as connection:
        connection.sendall(line.encode() + b"\n")
        return connection.makefile().readline().strip()


def leader() -> int:
    for other in sorted(others):
        if other > port:
            break
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", other), 2):
            return other
    return port


def answer(verb: str, key: str, value: str = "") -> str:
    if verb == "GET":
        return f"VALUE {data[key]}" if key in data else "NOT_FOUND"
    if verb == "PUT" and leader() != port:
        return send(leader(), f"PUT {key} {value}") if forwards else "ERR read-only"
    if verb == "DELETE":
        data.pop(key, None)
        return "OK"
    data[key] = value
    if verb == "PUT":
        for other in others:
            with contextlib.suppress(OSError):
                send(other, f"COPY {key} {value}")
    return "OK"


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(answer(*line.decode().split()).encode() + b"\n")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


with Server(("127.0.0.1", port), Handler) as server:
    print(f"node at {port}", flush=True)
    server.serve_forever()
