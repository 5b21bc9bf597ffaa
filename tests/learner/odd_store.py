"""A store that is unlike most: its requests, its roles and its start (tests only).

It creates and modifies, but does not put; it has no delete. Its role is an HTTP status on another
port. A follower names the leader by its number, counted from 0. It ends when its standard input
does, ends with 3 after SIGTERM, and keeps nothing.
"""

from __future__ import annotations

import os
import signal
import socketserver
import sys
import threading

number, role, port, admin_port, leader = sys.argv[1:6]
peers = sys.argv[6:]
data: dict[str, str] = {}


class Keys(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for line in self.rfile:
            self.wfile.write(answer(*line.decode().split()).encode() + b"\n")


class Admin(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while self.rfile.readline().strip():
            pass
        status = 200 if role == "main" else 503
        self.wfile.write(b"HTTP/1.1 %d X\r\nConnection: close\r\n\r\n" % status)


def answer(verb: str, key: str, *value: str) -> str:
    if verb == "READ":
        return f"VALUE {data[key]}" if key in data else "NONE"
    if role != "main":
        return f"not me, ask node {leader}"
    if (verb == "CREATE") is (key in data):
        return "EXISTS" if key in data else "MISSING"
    data[key] = value[0]
    return "DONE"


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


def end_with_input() -> None:
    sys.stdin.read()
    os._exit(1)


signal.signal(signal.SIGTERM, lambda *_: os._exit(3))
threading.Thread(target=end_with_input, daemon=True).start()
admin = Server(("127.0.0.1", int(admin_port)), Admin)
threading.Thread(target=admin.serve_forever, daemon=True).start()
with Server(("127.0.0.1", int(port)), Keys) as server:
    print(f"node {number} is {role}, beside {len(peers)}", flush=True)
    server.serve_forever()
