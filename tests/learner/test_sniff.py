"""What a server says to a first message, whatever it is that it waits for. Servers are threads."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator

import pytest

from kvsim.doctor.discovery.sniff import Sniffed, sniff

# What a server waits for before it answers, and its answer.
SERVERS = {
    "a line": (b"\n", b"ERR what\n"),
    "a line that ends with CR LF": (b"\r\n", b"ERR what\r\n"),
    "a blank line": (b"\r\n\r\n", b"HTTP/1.1 404 Not Found\r\n\r\n"),
    "an array": (b"*1\r\n$4\r\nPING\r\n", b"-ERR what\r\n"),
    "nothing that is usual": (b"\xff", b"?"),
}


@pytest.fixture
def serve() -> Iterator:
    """`serve(end, answer)`: a server that answers what ends so; its port."""
    servers: list[socketserver.BaseServer] = []

    def start(end: bytes, answer: bytes) -> int:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                received = b""
                while chunk := self.request.recv(1024):
                    received += chunk
                    if received.endswith(end):
                        self.request.sendall(answer)

        server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server.server_address[1]

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
@pytest.mark.parametrize("waits_for", SERVERS)
def test_the_answer_is_found_whatever_the_server_waits_for(serve, waits_for):
    end, answer = SERVERS[waits_for]
    found = sniff("127.0.0.1", serve(end, answer), 3.0)
    kinds = (found.is_text and not found.is_resp, found.is_http, found.is_resp)
    assert (
        kinds
        == {
            "a line": (True, False, False),
            "a line that ends with CR LF": (True, False, False),
            "a blank line": (False, True, False),
            "an array": (False, False, True),
            "nothing that is usual": (False, False, False),
        }[waits_for]
    )
    assert found.line_end == (b"\r\n" if waits_for.endswith("CR LF") else b"\n")


def test_what_was_sent_is_shown():
    assert "PING" in Sniffed(reply=b"+PONG\r\n", sent=b"*1\r\n$4\r\nPING\r\n").describe()
