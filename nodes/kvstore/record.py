"""The encoding of a log entry, on disk and between nodes. Pure: bytes in, values out.

A record is a header of 32 bytes and a payload. The payload is one or more RESP commands
(`SET key value`, `DEL key`): those that were committed together.

    magic 4 | payload length 4 | term 4 | commands 4 | index of the first 8 | crc32 of payload 4 |
    chain 4     (little endian)

`chain` is the crc32 of the 28 bytes before it, seeded with the chain of the previous record. So
equal chains at an index mean equal histories up to that index.
"""

from _struct import Struct
from zlib import crc32

from kvstore import resp

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from kvstore.interfaces import DecodedRecord

MAGIC = b"kvR1"
BODY = Struct("<4sIIIQI")
HEADER = Struct("<4sIIIQII")
HEADER_SIZE = HEADER.size
PAYLOAD_BYTES_MAX = 64 << 20
# for less, it does not pay to try `decode_equal_sets`
EQUAL_SETS_BYTES_MIN = 1000
# the command that opens a term: it changes no key, but has an index
NO_OP = b"*1\r\n$4\r\nNOOP\r\n"
# commands that change no key; a configuration (MEMBERS) stands alone in its record
NOT_FOR_KEYS = (b"NOOP", b"MEMBERS")
MEMBERS_PREFIX = b"*2\r\n$7\r\nMEMBERS\r\n"


class BadRecord(Exception):
    """The bytes are not a complete record that follows the previous record."""


def encode_set(key: bytes, value: bytes) -> bytes:
    """Return the command that sets a key."""
    return b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(value), value)


def encode_delete(key: bytes) -> bytes:
    """Return the command that deletes a key."""
    return b"*2\r\n$3\r\nDEL\r\n$%d\r\n%b\r\n" % (len(key), key)


def encode(payload: bytes, term: int, count: int, first: int, chain: int) -> tuple[bytes, int]:
    """Return (record, its chain) for `count` commands, the first with index `first`."""
    body = BODY.pack(MAGIC, len(payload), term, count, first, crc32(payload))
    chain = crc32(body, chain)
    return b"%b%b%b" % (body, chain.to_bytes(4, "little"), payload), chain


def decode(data: bytes, offset: int, chain: int | None) -> "DecodedRecord":
    """Return (payload, term, count, first, its chain, next offset) of the record at `offset`.

    `chain` is the chain of the previous record; with None the chain is not checked. Raises
    BadRecord.
    """
    start = offset + HEADER_SIZE
    if start > len(data):
        raise BadRecord("the header is cut short")
    magic, size, term, count, first, crc, own_chain = HEADER.unpack_from(data, offset)
    if magic != MAGIC:
        raise BadRecord("no record begins here")
    if size > PAYLOAD_BYTES_MAX or start + size > len(data):
        raise BadRecord("the payload is cut short")
    payload = bytes(data[start : start + size])
    if crc32(payload) != crc:
        raise BadRecord("the payload does not match its checksum")
    if chain is not None and crc32(data[offset : start - 4], chain) != own_chain:
        raise BadRecord("the record does not follow the previous record")
    return payload, term, count, first, own_chain, start + size


def read_header(data: bytes, offset: int = 0) -> tuple[int, int, int, int, int]:
    """Return (record size, term, count, first, chain) from the header at `offset`.

    Raises BadRecord.
    """
    if offset + HEADER_SIZE > len(data):
        raise BadRecord("the header is cut short")
    magic, size, term, count, first, _, chain = HEADER.unpack_from(data, offset)
    if magic != MAGIC or size > PAYLOAD_BYTES_MAX:
        raise BadRecord("no record begins here")
    return HEADER_SIZE + size, term, count, first, chain


def decode_commands(payload: bytes) -> list[tuple[bytes, bytes | None]]:
    """Return [(key, value)] for the commands of a payload, value None for a delete.

    Raises BadRecord.
    """
    sets = decode_sets(payload)
    if sets is not None:
        return list(zip(*sets, strict=True))
    try:
        requests, rest, _ = resp.decode(payload)
    except resp.BadRequest as error:
        raise BadRecord("a command in the log cannot be decoded") from error
    if rest:
        raise BadRecord("a command in the log is cut short")
    return [_decode_command(request) for request in requests if request[0] not in NOT_FOR_KEYS]


def _decode_command(request: list[bytes]) -> tuple[bytes, bytes | None]:
    if len(request) == 3 and request[0] == b"SET":
        return request[1], request[2]
    if len(request) == 2 and request[0] == b"DEL":
        return request[1], None
    raise BadRecord(f"unknown command {request[0][:20]!r} in the log")


def decode_sets(payload: bytes) -> "tuple[Sequence[bytes], Sequence[bytes]] | None":
    """Return (keys, values) if the payload is SET commands only, else None. Fast."""
    return resp.decode_sets(payload)


def decode_pairs(payload: bytes) -> "Iterable[tuple[bytes, bytes]] | None":
    """Return (key, value) of each command if the payload is SET commands only, else None."""
    if len(payload) > EQUAL_SETS_BYTES_MIN:
        pairs = resp.decode_equal_sets(payload)
        if pairs is not None:
            return pairs
    sets = resp.decode_sets(payload)
    # equal lengths by construction; `strict` takes time
    return None if sets is None else zip(*sets)  # noqa: B905


def describe_commands(payload: bytes, first: int) -> list[str]:
    """Return a line for each command of a payload, for people: `101 SET key`."""
    requests, _, _ = resp.decode(payload)
    texts = [b" ".join(request[:2]).decode("utf-8", "backslashreplace") for request in requests]
    return [f"{index} {ascii(text)[1:-1]}" for index, text in enumerate(texts, first)]
