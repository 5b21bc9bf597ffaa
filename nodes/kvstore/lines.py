"""The line protocol, pure: one request and one reply a line. Bytes in, values out; knows no sockets and no state.

    PUT key value | GET key | DELETE key | PING | STATUS        verbs in any case, value: the rest of the line
    CAS key size expected value                                 size: how many bytes expected has; it may hold spaces
    OK | VALUE value | NOT_FOUND | MISMATCH value | PONG | {json} | ERR what was wrong with what

VERBS is the single source of what can be asked for; nodes use the last few verbs among themselves.
"""

from kvstore.limits import KEY_BYTES_MAX, LINE_BYTES_MAX, VALUE_BYTES_MAX

NOT_FOUND = b"NOT_FOUND\n"
MISMATCH = b"MISMATCH\n"
PONG = b"PONG\n"

# verb: (fewest words behind it, most words, its shape); PUT's last word is the rest of the line
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
    b"FOLLOW": (1, 99, "FOLLOW (between nodes)"),
    b"PROMISE": (1, 99, "PROMISE (between nodes)"),
    b"ANNOUNCE": (1, 99, "ANNOUNCE (between nodes)"),
}
WITH_KEY = (b"PUT", b"GET", b"DELETE", b"CAS")
FOR_USERS = [shape for _, _, shape in VERBS.values() if "between" not in shape]


class BadLine(Exception):
    """The line is no request; `str(error)` says what is wrong with what."""


class Decoder:
    """Cuts a byte stream into lines. A line longer than the limit is dropped up to its end and comes out as None."""

    def __init__(self, line_bytes_max=LINE_BYTES_MAX):
        self.line_bytes_max = line_bytes_max
        self.held = b""
        self.skipping = False

    def feed(self, data):
        """Return the lines that are now whole, without their ends; None stands for one that was too long."""
        lines = (self.held + data if self.held else data).split(b"\n")
        self.held = lines.pop()
        if self.skipping and lines:
            del lines[0]
            self.skipping = False
        if len(self.held) > self.line_bytes_max:
            if not self.skipping:
                lines.append(None)
            self.skipping = True
        if self.skipping:
            self.held = b""
        return [None if line is not None and len(line) > self.line_bytes_max else line for line in lines]


def decode(line):
    """Return (verb, [words behind it]) of one line; raises BadLine."""
    if line.endswith(b"\r"):
        line = line[:-1]
    verb, *words = line.split(b" ", 2)
    verb = verb.upper()
    if verb not in VERBS:
        raise BadLine(f"unknown request {shown(verb)}; requests are {', '.join(FOR_USERS)}")
    if not line.isascii():
        check_text(line, verb)
    fewest, most, shape = VERBS[verb]
    if most > 2 and len(words) == 2:
        words[1:] = _two_values(words[1]) if verb == b"CAS" else words[1].split()
    if not fewest <= len(words) <= most:
        raise BadLine(f"{verb.decode()} has this shape: {shape}")
    if verb in WITH_KEY:
        check_key(words[0])
        for value in words[1:]:
            if len(value) > VALUE_BYTES_MAX:
                raise BadLine(f"the value has {len(value)} bytes, at most {VALUE_BYTES_MAX} are kept")
    return verb, words


def _two_values(rest):
    """Return [size, expected, value] of what stands behind CAS and its key; fewer when it has not that shape."""
    size, _, values = rest.partition(b" ")
    if not size.isdigit() or len(size) > 9 or values[int(size) : int(size) + 1] != b" ":
        return [size]
    return [size, values[: int(size)], values[int(size) + 1 :]]


def check_key(key):
    """Raise BadLine unless this can be a key: not empty, no white space, not too long."""
    if not key or len(key.split()) != 1 or len(key.split()[0]) != len(key):
        raise BadLine(f"a key has no white space and is not empty, this one is {shown(key)}")
    if len(key) > KEY_BYTES_MAX:
        raise BadLine(f"the key has {len(key)} bytes, at most {KEY_BYTES_MAX} are kept")


def check_text(line, verb):
    """Raise BadLine unless the line is UTF-8."""
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise BadLine(f"{verb.decode()} is not UTF-8 at byte {error.start}") from None


def shown(data):
    """Return bytes as a short quoted text, fit for a reply or a log line."""
    return ascii(data[:60].decode("utf-8", "replace")) + ("..." if len(data) > 60 else "")


def encode_value(value):
    """Return the reply to a GET that found this value."""
    return b"VALUE %b\n" % value


def encode_mismatch(value):
    """Return the reply to a CAS that met this value, which is told unless it holds a line end."""
    return MISMATCH if b"\n" in value else b"MISMATCH %b\n" % value


def encode_error(text):
    """Return an ERR reply; the text must be one line."""
    return b"ERR %b\n" % text.encode()
