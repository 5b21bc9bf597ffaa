"""RESP2, the protocol of Redis, as far as this store needs it. Pure: bytes in, values out.

`decode` reads any stream of requests, as arrays or inline. `decode_sets` and `decode_gets` read the
common case, a pipeline of requests of one kind, without a loop in Python: they split the bytes at
all line ends once. The parts are right if they form rows of seven (or five) and each announced
length is the actual length. A value with a line end breaks the rows; `decode` reads such data.
`decode_equal_sets` reads many SETs faster, if all keys and all values have one length.
"""

from _struct import Struct

from kvstore.limits import ARGUMENTS_MAX, INLINE_BYTES_MAX, REQUEST_BYTES_MAX, VALUE_BYTES_MAX

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# a longer argument is refused before it is read
ARGUMENT_BYTES_MAX = VALUE_BYTES_MAX + 1024

OK = b"+OK\r\n"
PONG = b"+PONG\r\n"
NULL = b"$-1\r\n"
SET_START = b"*3\r\n$3\r\nSET\r\n"

CACHED_LENGTHS = 4096
# {header: length}; `parse_length` adds to it
LENGTHS = {b"$%d" % size: size for size in range(64)}


class BadRequest(Exception):
    """The rest of the stream cannot be decoded. `requests` are the requests before it."""

    requests: list[list[bytes]]


def parse_length(header: bytes) -> int:
    """Return the number in a header such as `$16`; -1 if it is none. Caches small numbers."""
    cached = LENGTHS.get(header)
    if cached is not None:
        return cached
    digits = header[1:]
    if header[:1] != b"$" or not digits.isdigit() or len(digits) > 9:
        return -1
    size = int(digits)
    if size < CACHED_LENGTHS and b"$%d" % size == header:
        LENGTHS[header] = size
    return size


def _lengths_match(headers: list[bytes], arguments: list[bytes]) -> bool:
    """Whether each argument has the length in its header; fastest if all headers are equal."""
    sizes = list(map(len, arguments))
    first = headers[0]
    if headers.count(first) == len(headers):
        return sizes.count(parse_length(first)) == len(sizes)
    cached = list(map(LENGTHS.get, headers))
    return (list(map(parse_length, headers)) if None in cached else cached) == sizes


def decode_sets(data: bytes) -> "tuple[Sequence[bytes], Sequence[bytes]] | None":
    """Return (keys, values) if the data is complete `SET key value` requests only, else None."""
    parts = data.split(b"\r\n")
    if len(parts) == 8:
        return _decode_one_set(parts)
    count = len(parts) - 1
    if not count or count % 7 or parts[-1]:
        return None
    keys, values = parts[4::7], parts[6::7]
    if (
        parts[0:count:7].count(b"*3") * 7 == count
        and parts[2::7].count(b"SET") * 7 == count
        and parts[1::7].count(b"$3") * 7 == count
        and _lengths_match(parts[3::7], keys)
        and _lengths_match(parts[5::7], values)
    ):
        return keys, values
    return None


def decode_equal_sets(data: bytes) -> "Iterator[tuple[bytes, bytes]] | None":
    """Return (key, value) of each request, if they are what this function reads; else None.

    That is: complete `SET key value` requests only, whose keys have one length, and their values.
    Then the bytes are rows of one size, and each column outside of keys and values has one byte.
    """
    key_header = len(SET_START)
    key = data.find(b"\r\n", key_header) + 2
    key_size = parse_length(data[key_header : key - 2])
    value_header = key + key_size + 2
    value = data.find(b"\r\n", value_header) + 2
    value_size = parse_length(data[value_header : value - 2])
    if not data.startswith(SET_START) or min(key - 1, value - 1, key_size + 1, value_size + 1) < 1:
        return None
    size = value + value_size + 2
    count, rest = divmod(len(data), size)
    line_ends = data[value_header - 2 : value_header], data[size - 2 : size]
    if rest or line_ends != (b"\r\n", b"\r\n"):
        return None
    for column in (*range(key), *range(value_header - 2, value), size - 2, size - 1):
        if data[column::size].count(data[column]) != count:
            return None
    row = Struct(f"{key}x{key_size}s{value - value_header + 2}x{value_size}s2x")
    return row.iter_unpack(data)


def _decode_one_set(parts: list[bytes]) -> tuple[tuple[bytes], tuple[bytes]] | None:
    array, three, verb, key_size, key, value_size, value, rest = parts
    if array == b"*3" and verb == b"SET" and three == b"$3" and not rest:
        key_fits = (LENGTHS.get(key_size) or parse_length(key_size)) == len(key)
        if key_fits and (LENGTHS.get(value_size) or parse_length(value_size)) == len(value):
            return (key,), (value,)
    return None


def decode_gets(data: bytes) -> list[bytes] | None:
    """Return the keys if the data is complete `GET key` requests only, else None."""
    parts = data.split(b"\r\n")
    count = len(parts) - 1
    if not count or count % 5 or parts[-1]:
        return None
    keys = parts[4::5]
    if (
        parts[0:count:5].count(b"*2") * 5 == count
        and parts[2::5].count(b"GET") * 5 == count
        and parts[1::5].count(b"$3") * 5 == count
        and _lengths_match(parts[3::5], keys)
    ):
        return keys
    return None


def decode(data: bytes) -> tuple[list[list[bytes]], bytes, int]:
    """Return (requests, rest, needed): each request is a list of arguments, its verb first.

    `rest` is an incomplete request, which needs at least `needed` bytes to be complete. Raises
    BadRequest if the stream cannot be decoded any further.
    """
    requests: list[list[bytes]] = []
    offset, needed = 0, 1
    try:
        while offset < len(data):
            read = _read_array if data[offset] == 42 else _read_inline
            arguments, end = read(data, offset)
            if arguments is None:
                needed = end - offset
                break
            offset = end
            if arguments:
                requests.append(arguments)
    except BadRequest as error:
        error.requests = requests
        raise
    return requests, data[offset:], needed


def _read_line(data: bytes, offset: int, bytes_max: int) -> tuple[bytes | None, int]:
    """Return (the line at `offset`, offset of the next), or (None, how many bytes are needed)."""
    end = data.find(b"\r\n", offset)
    if end >= 0 and end - offset <= bytes_max:
        return data[offset:end], end + 2
    if end >= 0 or len(data) - offset > bytes_max:
        raise BadRequest(f"a line of the protocol has more than {bytes_max} bytes")
    return None, len(data) + 1


def _read_array(data: bytes, start: int) -> tuple[list[bytes] | None, int]:
    line, offset = _read_line(data, start, 16)
    if line is None:
        return None, offset
    count = line[1:]
    if not count.isdigit() or int(count) > ARGUMENTS_MAX:
        raise BadRequest(f"a request has 0 to {ARGUMENTS_MAX} arguments, not {count[:20]!r}")
    arguments = []
    for _ in range(int(count)):
        line, offset = _read_line(data, offset, 16)
        if line is None:
            return None, offset
        size = parse_length(line)
        if not 0 <= size <= ARGUMENT_BYTES_MAX:
            raise BadRequest(
                f"an argument has 0 to {ARGUMENT_BYTES_MAX} bytes and a header such as $5, "
                f"not {line[:20]!r}"
            )
        end = offset + size
        if end + 2 - start > REQUEST_BYTES_MAX:
            raise BadRequest(f"a request has at most {REQUEST_BYTES_MAX} bytes")
        if end + 2 > len(data):
            return None, end + 2
        if data[end : end + 2] != b"\r\n":
            raise BadRequest("an argument is not as long as its header announces")
        arguments.append(data[offset:end])
        offset = end + 2
    return arguments, offset


def _read_inline(data: bytes, offset: int) -> tuple[list[bytes] | None, int]:
    end = data.find(b"\n", offset, offset + INLINE_BYTES_MAX + 1)
    if end >= 0:
        return data[offset:end].split(), end + 1
    if len(data) - offset > INLINE_BYTES_MAX:
        raise BadRequest(f"an inline request has at most {INLINE_BYTES_MAX} bytes")
    return None, len(data) + 1


def encode_bulk(value: bytes) -> bytes:
    """Return a bulk string: any bytes."""
    return b"$%d\r\n%b\r\n" % (len(value), value)


def encode_int(number: int) -> bytes:
    """Return an integer reply."""
    return b":%d\r\n" % number


def encode_array(items: list[bytes]) -> bytes:
    """Return an array of replies that are encoded already."""
    return b"*%d\r\n%b" % (len(items), b"".join(items))


def encode_error(text: str, kind: str = "ERR") -> bytes:
    """Return an error, `-KIND text`; line ends in the text become spaces."""
    line = f"-{kind} {text}\r\n".replace("\r\n", " ").replace("\n", " ")
    return line.encode().rstrip() + b"\r\n"
