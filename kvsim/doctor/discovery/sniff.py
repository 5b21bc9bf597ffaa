"""What does a program say to a first line of text? Its answer shows which protocols are likely.

Opens its own socket, because no protocol is known yet.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time

from msgspec import Struct
from msgspec.structs import replace

from kvsim.client.outcomes import format_bytes

GREETING_WAIT_S = 0.05
REPLY_WAIT_S = 0.3
# A reply is whole when nothing more comes for this long.
QUIET_S = 0.03
FIRST_LINE = b"PUT kvsim-init-first kvsim-init-line"
# What a server waits for that reads no single lines.
BLANK_LINE = b"\n\n"
HTTP_REQUEST = b"GET /kvsim-init-first HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
RESP_REQUEST = b"*1\r\n$4\r\nPING\r\n"
HTML = re.compile(rb"HTTP/\d|<html|<!doctype", re.IGNORECASE)


class Sniffed(Struct, frozen=True):
    """What came: before any request, and after `sent`. `closed`: the connection then ended."""

    greeting: bytes = b""
    reply: bytes = b""
    closed: bool = False
    line_end: bytes = b"\n"
    sent: bytes = FIRST_LINE + b"\n"

    @property
    def is_http(self) -> bool:
        return HTML.search(self.reply) is not None

    @property
    def is_resp(self) -> bool:
        return self.reply[:1] in (b"+", b"-", b":", b"$") and self.reply.endswith(b"\r\n")

    @property
    def is_text(self) -> bool:
        """Whether lines were answered with text."""
        return bool(self.reply) and not self.is_http and self.sent.startswith(FIRST_LINE)

    @property
    def wants_blank_line(self) -> bool:
        """Whether a request was answered only when a blank line followed it."""
        return self.is_text and self.sent.endswith(BLANK_LINE)

    def describe(self) -> str:
        end = ", then it closed the connection" if self.closed else ""
        greeting = f"greeting {format_bytes(self.greeting)}; " if self.greeting else ""
        line = format_bytes(self.sent)
        answer = format_bytes(self.reply) if self.reply else "no answer"
        return f"{greeting}{line}: {answer}{end}"


def sniff(host: str, port: int, factor: float) -> Sniffed:
    """Send a line; where nothing comes, what other servers wait for: CR LF, a blank line, a whole
    request of HTTP or RESP."""
    found = Sniffed()
    for sent, line_end in (
        (FIRST_LINE + b"\n", b"\n"),
        (FIRST_LINE + b"\r\n", b"\r\n"),
        (FIRST_LINE + BLANK_LINE, b"\n"),
        (HTTP_REQUEST, b"\n"),
        (RESP_REQUEST, b"\n"),
    ):
        seen = _sniff(host, port, sent, factor)
        if seen.reply or (seen.closed and sent == FIRST_LINE + b"\n"):
            return replace(seen, line_end=line_end)
        found = found if found.greeting else replace(found, greeting=seen.greeting)
    return found


def _sniff(host: str, port: int, sent: bytes, factor: float) -> Sniffed:
    try:
        with socket.create_connection((host, port), REPLY_WAIT_S * factor) as connection:
            greeting, closed = _read(connection, GREETING_WAIT_S * factor)
            if closed:
                return Sniffed(greeting, closed=True, sent=sent)
            with contextlib.suppress(OSError):
                connection.sendall(sent)
            reply, closed = _read(connection, REPLY_WAIT_S * factor)
            return Sniffed(greeting, reply, closed, sent=sent)
    except OSError:
        return Sniffed(closed=True, sent=sent)


def _read(connection: socket.socket, wait_s: float) -> tuple[bytes, bool]:
    """What arrives until nothing more comes, and whether the connection ended."""
    data, deadline = b"", time.monotonic() + wait_s
    while (left_s := (QUIET_S if data else deadline - time.monotonic())) > 0:
        connection.settimeout(left_s)
        try:
            chunk = connection.recv(1 << 16)
        except TimeoutError:
            return data, False
        except OSError:
            return data, True
        if not chunk:
            return data, True
        data += chunk
        if time.monotonic() > deadline + wait_s:
            break
    return data, False
