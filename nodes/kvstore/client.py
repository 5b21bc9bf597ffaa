"""`kv_client`: send one request to one node and print its reply. Knows the line protocol only.

Exit status: 0 done (a missing key is an answer too), 1 the node refused or does not know, 2 the
command line is wrong, 3 no connection or no answer in time.
"""

import posix
from _socket import AF_INET, SOCK_STREAM, getaddrinfo, socket

from kvstore import lines

USAGE = """usage: kv_client --port PORT [--host HOST] [--timeout SECONDS] REQUEST

  REQUEST is one of: put KEY VALUE, get KEY, delete KEY, cas KEY EXPECTED VALUE, ping,
  status, digest, wait INDEX, promote

Sends one request to a node and prints its reply: OK, the value, NOT_FOUND, MISMATCH, or ERR and
the reason. Exit status: 0 done, not found or no match, 1 refused, 2 wrong usage, 3 no connection
or no answer in time.
"""
DONE, REFUSED, WRONG_USAGE, UNREACHABLE = 0, 1, 2, 3
REPLY_BYTES_MAX = 4 << 20


class UsageError(Exception):
    """The command line is wrong. The text is one line."""


def main(argv: list[str]) -> int:
    """Run one command line; return the exit status."""
    if "--help" in argv or "-h" in argv:
        return finish(1, USAGE, DONE)
    try:
        host, port, timeout_s, words = parse(argv)
        request = encode_request(words)
    except UsageError as error:
        return finish(2, f"kv_client: {error}; see --help\n", WRONG_USAGE)
    try:
        reply = ask(host, port, timeout_s, request)
    except OSError as error:
        reason = describe_error(error, timeout_s)
        return finish(2, f"kv_client: {host}:{port}: {reason}\n", UNREACHABLE)
    status = REFUSED if reply.startswith(b"ERR") else DONE
    return finish(1, reply.removeprefix(b"VALUE ") + b"\n", status)


def finish(fd: int, text: str | bytes, status: int) -> int:
    """Write the text whole and return the status."""
    data = text if isinstance(text, bytes) else text.encode()
    try:
        while data:
            data = data[posix.write(fd, data) :]
    except OSError:
        # the parent process no longer reads; the status still counts
        pass
    return status


def parse(argv: list[str]) -> tuple[str, int, float, list[str]]:
    """Return (host, port, timeout_s, words of the request) of a command line; raises UsageError."""
    found = {"--host": "127.0.0.1", "--timeout": "5"}
    words: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        flag, equals, value = word.partition("=")
        if words or not word.startswith("--"):
            words.append(word)
        elif flag not in ("--port", "--host", "--timeout"):
            raise UsageError(f"unknown flag {flag}")
        elif not equals and not rest:
            raise UsageError(f"{flag} needs a value")
        else:
            found[flag] = value if equals else rest.pop(0)
    port, timeout_s = parse_port(found.get("--port")), parse_timeout(found["--timeout"])
    return found["--host"], port, timeout_s, words


def parse_port(text: str | None) -> int:
    """Return the port number; raises UsageError."""
    if text is None:
        raise UsageError("--port is missing")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise UsageError(f"--port must be 1 to 65535, not {text!r}")
    return int(text)


def parse_timeout(text: str) -> float:
    """Return seconds, above zero; raises UsageError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise UsageError(f"--timeout must be seconds above 0, not {text!r}")
    return seconds


def encode_request(words: list[str]) -> bytes:
    """Return the request line for words such as `put KEY VALUE`; raises UsageError."""
    if not words:
        raise UsageError("no request; put, get, delete, cas, ping or status")
    parts = [word.encode("utf-8", "surrogateescape") for word in words]
    parts[0] = parts[0].upper()
    if any(b"\n" in part for part in parts) or parts[-1].endswith(b"\r"):
        raise UsageError("keys and values cannot hold a newline")
    if parts[0] == b"CAS" and len(parts) == 4:
        parts.insert(2, b"%d" % len(parts[2]))
    minimum, maximum, _ = lines.VERBS.get(parts[0], (99, 0, ""))
    wrong_count = not minimum <= len(parts) - 1 <= maximum
    if wrong_count or maximum == 99 or (len(parts) > 2 and not parts[1]):
        usages = " | ".join(lines.CLIENT_USAGES).replace(" size", "")
        raise UsageError(f"cannot send {' '.join(words)!r}; {usages}, each value as one word")
    try:
        lines.decode(b" ".join(parts))
        if parts[0] in lines.WITH_KEY:
            lines.check_key(parts[1])
    except lines.BadLine as error:
        raise UsageError(str(error)) from error
    return b" ".join(parts) + b"\n"


def ask(host: str, port: int, timeout_s: float, request: bytes) -> bytes:
    """Send one request and return the reply line without its end.

    Raises OSError; TimeoutError, which is one, after `timeout_s`.
    """
    from time import monotonic

    deadline_s = monotonic() + timeout_s
    found = getaddrinfo(host, port, 0, SOCK_STREAM)
    family, _, _, _, address = found[0] if found else (AF_INET, 0, 0, "", (host, port))
    sock = socket(family, SOCK_STREAM)
    try:
        sock.settimeout(timeout_s)
        sock.connect(address)
        sock.sendall(request)
        reply = b""
        while not reply.endswith(b"\n"):
            left_s = deadline_s - monotonic()
            if left_s <= 0:
                raise TimeoutError
            sock.settimeout(left_s)
            part = sock.recv(65536)
            if not part or len(reply) > REPLY_BYTES_MAX:
                raise ConnectionResetError(
                    f"the connection ended in the middle of a reply; so far: {reply[:80]!r}"
                )
            reply += part
    finally:
        sock.close()
    return reply[:-1]


def describe_error(error: OSError, timeout_s: float) -> str:
    """Return what went wrong, for people."""
    if isinstance(error, TimeoutError):
        return f"no answer in {timeout_s:g} s; the request may have been executed"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there; is the node up?"
    return error.strerror or str(error)
