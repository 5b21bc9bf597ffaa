"""The line protocol, pure: one request and one reply a line. Bytes in, values out; knows no sockets and no
state.

PUT key value | GET key | DELETE key | PING | STATUS        verbs in any case, value: the rest of the line
OK | VALUE value | NOT_FOUND | PONG | {json} | ERR what was wrong with what
"""

KEY_BYTES_MAX = 1024
VALUE_BYTES_MAX = 1 << 20
LINE_BYTES_MAX = KEY_BYTES_MAX + VALUE_BYTES_MAX + 64

OK = b"OK\n"
NOT_FOUND = b"NOT_FOUND\n"
PONG = b"PONG\n"

# verb: how many words follow it (PUT's last word is the rest of the line)
VERBS = {b"PUT": 2, b"GET": 1, b"DELETE": 1, b"PING": 0, b"STATUS": 0}
SHAPES = {
    b"PUT": "PUT key value",
    b"GET": "GET key",
    b"DELETE": "DELETE key",
    b"PING": "PING",
    b"STATUS": "STATUS",
}


class BadLine(Exception):
    """The line is no request; `str(error)` says what is wrong with what."""


class Decoder:
    """Cuts a byte stream into lines. A line longer than the limit is dropped up to its end and comes out as
    None.
    """

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
    """Return (verb, key or None, value or None) of one line; raises BadLine."""
    if line.endswith(b"\r"):
        line = line[:-1]
    words = line.split(b" ", 2)
    verb = words[0].upper()
    if verb not in VERBS:
        raise BadLine(f"unknown request {shown(words[0])}; requests are {', '.join(SHAPES.values())}")
    if not line.isascii():
        check_text(line, verb)
    if len(words) - 1 != VERBS[verb]:
        raise BadLine(f"{SHAPES[verb].split()[0]} has this shape: {SHAPES[verb]}")
    if len(words) == 1:
        return verb, None, None
    check_key(words[1])
    if len(words) == 2:
        return verb, words[1], None
    if len(words[2]) > VALUE_BYTES_MAX:
        raise BadLine(f"the value has {len(words[2])} bytes, at most {VALUE_BYTES_MAX} are kept")
    return verb, words[1], words[2]


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
    return ascii(data[:60].decode("utf-8", "replace")) + ("…" if len(data) > 60 else "")


def encode_value(value):
    """Return the reply to a GET that found this value."""
    return b"VALUE %b\n" % value


def encode_error(text):
    """Return an ERR reply; the text must be one line."""
    return b"ERR %b\n" % text.encode()
