"""The line protocol: one request and one reply a line. Pure: bytes in, values out.

    PUT key value | GET key | DELETE key | PING | STATUS
    CAS key size expected value
    OK | VALUE value | NOT_FOUND | MISMATCH value | PONG | {json} | ERR reason

Verbs are case-insensitive. PUT's value is the rest of the line. CAS's size is the number of bytes
of `expected`, which may hold spaces. VERBS is the only list of requests; the last four are used
between nodes.
"""

from kvstore.limits import KEY_BYTES_MAX, LINE_BYTES_MAX, VALUE_BYTES_MAX

NOT_FOUND = b"NOT_FOUND\n"
MISMATCH = b"MISMATCH\n"
PONG = b"PONG\n"

# verb: (minimum number of arguments, maximum number, usage)
VERBS = {
    b"PUT": (2, 2, "PUT key value"),
    b"GET": (1, 1, "GET key"),
    b"DELETE": (1, 1, "DELETE key"),
    b"CAS": (4, 4, "CAS key size expected value"),
    b"PING": (0, 0, "PING"),
    b"STATUS": (0, 0, "STATUS"),
    b"DIGEST": (0, 0, "DIGEST"),
    b"WAIT": (1, 2, "WAIT index [milliseconds]"),
    b"PROMOTE": (0, 1, "PROMOTE [FORCE]"),
    b"MEMBER": (2, 3, "MEMBER ADD|REMOVE name [host:port]"),
    b"FOLLOW": (1, 99, "FOLLOW (between nodes)"),
    b"PROMISE": (1, 99, "PROMISE (between nodes)"),
    b"ANNOUNCE": (1, 99, "ANNOUNCE (between nodes)"),
    b"TRANSFER": (1, 99, "TRANSFER (between nodes)"),
}
WITH_KEY = (b"PUT", b"GET", b"DELETE", b"CAS")
CLIENT_USAGES = [usage for _, _, usage in VERBS.values() if "between" not in usage]


class BadLine(Exception):
    """The line is not a request. The text explains the problem."""


class LineDecoder:
    """Splits a byte stream into lines. A line that is too long is dropped and replaced by None."""

    def __init__(self, line_bytes_max: int = LINE_BYTES_MAX) -> None:
        self.line_bytes_max = line_bytes_max
        self.buffered = b""
        self.skipping = False

    def feed(self, data: bytes) -> list[bytes | None]:
        """Return the lines that are now complete, without their ends; None if one was too long."""
        parts = (self.buffered + data if self.buffered else data).split(b"\n")
        self.buffered = parts.pop()
        lines: list[bytes | None] = [
            None if len(line) > self.line_bytes_max else line for line in parts
        ]
        if self.skipping and lines:
            del lines[0]
            self.skipping = False
        if len(self.buffered) > self.line_bytes_max:
            if not self.skipping:
                lines.append(None)
            self.skipping = True
        if self.skipping:
            self.buffered = b""
        return lines


def decode(line: bytes) -> tuple[bytes, list[bytes]]:
    """Return (verb, arguments) of one line; raises BadLine."""
    if line.endswith(b"\r"):
        line = line[:-1]
    verb, *arguments = line.split(b" ", 2)
    verb = verb.upper()
    if verb not in VERBS:
        known = ", ".join(CLIENT_USAGES)
        raise BadLine(f"unknown request {quote(verb)}; requests are {known}")
    if not line.isascii():
        check_text(line, verb)
    minimum, maximum, usage = VERBS[verb]
    if maximum > 2 and len(arguments) == 2:
        rest = arguments[1]
        arguments[1:] = _split_cas(rest) if verb == b"CAS" else rest.split()
    if not minimum <= len(arguments) <= maximum:
        raise BadLine(f"wrong arguments for {verb.decode()}; usage: {usage}")
    if verb in WITH_KEY:
        check_key(arguments[0])
        for value in arguments[1:]:
            if len(value) > VALUE_BYTES_MAX:
                raise BadLine(f"the value has {len(value)} bytes; at most {VALUE_BYTES_MAX} fit")
    return verb, arguments


def _split_cas(rest: bytes) -> list[bytes]:
    """Return [size, expected, value] from what follows CAS and its key; [size] if it is wrong."""
    size, _, values = rest.partition(b" ")
    if not size.isdigit() or len(size) > 9 or values[int(size) : int(size) + 1] != b" ":
        return [size]
    return [size, values[: int(size)], values[int(size) + 1 :]]


def check_key(key: bytes) -> None:
    """Raise BadLine unless this can be a key: not empty, no white space, not too long."""
    if not key or len(key.split()) != 1 or len(key.split()[0]) != len(key):
        raise BadLine(f"a key has no white space and is not empty; found {quote(key)}")
    if len(key) > KEY_BYTES_MAX:
        raise BadLine(f"the key has {len(key)} bytes; at most {KEY_BYTES_MAX} fit")


def check_text(line: bytes, verb: bytes) -> None:
    """Raise BadLine unless the line is UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise BadLine(f"{verb.decode()} is not UTF-8 at byte {error.start}") from None


def quote(data: bytes) -> str:
    """Return bytes as a short quoted text for a reply or a log line."""
    return ascii(data[:60].decode("utf-8", "replace")) + ("..." if len(data) > 60 else "")


def encode_value(value: bytes) -> bytes:
    """Return the reply to a GET that found this value."""
    return b"VALUE %b\n" % value


def encode_mismatch(value: bytes) -> bytes:
    """Return the reply to a CAS that found this value; it is left out if it holds a line end."""
    return MISMATCH if b"\n" in value else b"MISMATCH %b\n" % value


def encode_error(text: str) -> bytes:
    """Return an ERR reply; the text must be one line."""
    return b"ERR %b\n" % text.encode()
