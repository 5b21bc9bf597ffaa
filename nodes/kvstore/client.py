"""`kv_client`: one request to one node, its reply on stdout. Knows the line protocol and nothing of how nodes
work.

Exit status: 0 done (a key that is not there is an answer, too) · 1 the node refused or could not say · 2 the
command line is wrong · 3 no connection, or no answer in time.
"""

import posix
from _socket import AF_INET, SOCK_STREAM, getaddrinfo, socket

from kvstore import lines

USAGE = """usage: kv_client --port PORT [--host HOST] [--timeout SECONDS] REQUEST

  REQUEST is one of: put KEY VALUE, get KEY, delete KEY, cas KEY EXPECTED VALUE, ping,
  status, digest, wait INDEX, promote

Sends one request to a node and prints its reply: OK, the value, NOT_FOUND, MISMATCH, or ERR and why.
Exit status: 0 done, not found or no match, 1 refused, 2 wrong usage, 3 no connection or no answer in time.
"""
DONE, REFUSED, WRONG, UNREACHABLE = 0, 1, 2, 3
REPLY_BYTES_MAX = 4 << 20


class UsageError(Exception):
    """The command line is wrong; `str(error)` says how."""


def main(argv):
    """Run one command line; return the exit status."""
    if "--help" in argv or "-h" in argv:
        return finish(1, USAGE, DONE)
    try:
        host, port, timeout_s, words = parse(argv)
        request = build(words)
    except UsageError as error:
        return finish(2, f"kv_client: {error}; see --help\n", WRONG)
    try:
        reply = ask(host, port, timeout_s, request)
    except OSError as error:
        return finish(2, f"kv_client: {host}:{port}: {why(error, timeout_s)}\n", UNREACHABLE)
    return finish(1, shown(reply), REFUSED if reply.startswith(b"ERR") else DONE)


def finish(fd, text, status):
    """Write the text (str or bytes) whole and return the status."""
    data = text if isinstance(text, bytes) else text.encode()
    try:
        while data:
            data = data[posix.write(fd, data) :]
    except OSError:
        pass  # whoever started us no longer reads; the status still counts
    return status


def parse(argv):
    """Return (host, port, timeout_s, words) of a command line; raises UsageError."""
    found, words, rest = {"--host": "127.0.0.1", "--timeout": "5"}, [], list(argv)
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
    return found["--host"], parse_port(found.get("--port")), parse_timeout(found["--timeout"]), words


def parse_port(text):
    """Return the port number; raises UsageError."""
    if text is None:
        raise UsageError("--port is missing")
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise UsageError(f"--port must be 1 to 65535, not {text!r}")
    return int(text)


def parse_timeout(text):
    """Return seconds, above zero; raises UsageError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e9:
        raise UsageError(f"--timeout must be seconds above 0, not {text!r}")
    return seconds


def build(words):
    """Return the request line for `put KEY VALUE` and its like; raises UsageError."""
    if not words:
        raise UsageError("no request; put, get, delete, cas, ping or status")
    parts = [word.encode("utf-8", "surrogateescape") for word in words]
    parts[0] = parts[0].upper()
    if any(b"\n" in part for part in parts) or parts[-1].endswith(b"\r"):
        raise UsageError("keys and values cannot hold a newline")
    if parts[0] == b"CAS" and len(parts) == 4:
        parts.insert(2, b"%d" % len(parts[2]))
    fewest, most, _ = lines.VERBS.get(parts[0], (99, 0, ""))
    if not fewest <= len(parts) - 1 <= most or most == 99 or (len(parts) > 2 and not parts[1]):
        shapes = " | ".join(lines.FOR_USERS).replace(" size", "")
        raise UsageError(f"cannot send {' '.join(words)!r}; {shapes}, each value as one word")
    try:
        lines.decode(b" ".join(parts))
        if parts[0] in lines.WITH_KEY:
            lines.check_key(parts[1])
    except lines.BadLine as error:
        raise UsageError(str(error)) from error
    return b" ".join(parts) + b"\n"


def ask(host, port, timeout_s, request):
    """Send one request and return the reply line without its end; raises OSError, TimeoutError when time is up."""
    from time import monotonic

    deadline_s = monotonic() + timeout_s
    family, _, _, _, address = (
        getaddrinfo(host, port, 0, SOCK_STREAM) or [(AF_INET, 0, 0, "", (host, port))]
    )[0]
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


def shown(reply):
    """Return what is printed for a reply line: a value without its `VALUE `, all else as it came."""
    return (reply[6:] if reply.startswith(b"VALUE ") else reply) + b"\n"


def why(error, timeout_s):
    """Return what went wrong, for people."""
    if isinstance(error, TimeoutError):
        return f"no answer in {timeout_s:g} s; whether it was done is not known"
    if isinstance(error, ConnectionRefusedError):
        return "nothing listens there; is the node up?"
    return error.strerror or str(error)
