"""How a log entry lies on disk and on the wire. Pure: bytes in, values out; knows no files.

A record is a header of 32 bytes and a payload; the payload is one or more RESP commands (`SET key value`,
`DEL key`), as many as were committed together.

    magic 4 | payload length 4 | epoch 4 | commands 4 | index of the first 8 | crc32 of payload 4 | chain 4
    (little endian)

`chain` is the crc32 of the 28 bytes before it, seeded with the chain of the record before: equal chains at an
index mean equal histories up to it.
"""

from _struct import Struct
from zlib import crc32

from kvstore import resp

MAGIC = b"kvR1"
BODY = Struct("<4sIIIQI")
HEADER = Struct("<4sIIIQII")
HEADER_SIZE = HEADER.size
PAYLOAD_BYTES_MAX = 64 << 20
NOTHING = [b"NOTHING"]  # the command that opens an epoch: it changes no key, but has an index
MARK = b"*1\r\n$7\r\nNOTHING\r\n"


class BadRecord(Exception):
    """The bytes at this place are not a whole record that follows the one before."""


def encode_set(key, value):
    """Return the command that sets a key."""
    return b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(value), value)


def encode_delete(key):
    """Return the command that deletes a key."""
    return b"*2\r\n$3\r\nDEL\r\n$%d\r\n%b\r\n" % (len(key), key)


def encode(payload, epoch, count, first, chain):
    """Return (record, its chain) for `count` commands, the first of which has index `first`."""
    body = BODY.pack(MAGIC, len(payload), epoch, count, first, crc32(payload))
    chain = crc32(body, chain)
    return b"%b%b%b" % (body, chain.to_bytes(4, "little"), payload), chain


def decode(data, offset, chain):
    """Return (payload, epoch, count, first, its chain, next offset) of the record at `offset`.

    `chain` is the chain of the record before, or None to take the record's word. Raises BadRecord.
    """
    start = offset + HEADER_SIZE
    if start > len(data):
        raise BadRecord("the header is cut short")
    magic, size, epoch, count, first, crc, said = HEADER.unpack_from(data, offset)
    if magic != MAGIC:
        raise BadRecord("no record begins here")
    if size > PAYLOAD_BYTES_MAX or start + size > len(data):
        raise BadRecord("the payload is cut short")
    payload = bytes(data[start : start + size])
    if crc32(payload) != crc:
        raise BadRecord("the payload does not match its checksum")
    if chain is not None and crc32(data[offset : start - 4], chain) != said:
        raise BadRecord("the record does not follow the one before it")
    return payload, epoch, count, first, said, start + size


def read_header(data, offset=0):
    """Return (record size, epoch, count, first, chain) of the record whose header is at `offset`; raises BadRecord."""
    if offset + HEADER_SIZE > len(data):
        raise BadRecord("the header is cut short")
    magic, size, epoch, count, first, _, chain = HEADER.unpack_from(data, offset)
    if magic != MAGIC or size > PAYLOAD_BYTES_MAX:
        raise BadRecord("no record begins here")
    return HEADER_SIZE + size, epoch, count, first, chain


def commands(payload):
    """Return [(key, value)] for the commands of a payload, value None for a delete; raises BadRecord."""
    found = sets(payload)
    if found:
        return list(zip(*found, strict=True))
    try:
        done, rest, _ = resp.decode(payload)
    except resp.BadRequest as error:
        raise BadRecord("a command in the log cannot be read") from error
    if rest:
        raise BadRecord("a command in the log is cut short")
    return [_effect(words) for words in done if words != NOTHING]


def told(payload, first):
    """Return a line for each command of a payload, for people: `101 SET key`."""
    done, _, _ = resp.decode(payload)
    shown = [b" ".join(words[:2]).decode("utf-8", "backslashreplace") for words in done]
    return [f"{first + number} {ascii(text)[1:-1]}" for number, text in enumerate(shown)]


def sets(payload):
    """Return (keys, values) when the payload is a run of SET commands only, else None; quick."""
    found = resp.run_of_sets(payload)
    return found[:2] if found and not found[2] else None


def _effect(words):
    if len(words) == 3 and words[0] == b"SET":
        return words[1], words[2]
    if len(words) == 2 and words[0] == b"DEL":
        return words[1], None
    raise BadRecord(f"unknown command {words[0][:20]!r} in the log")
