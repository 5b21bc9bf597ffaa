"""What leader and follower say to each other once a FOLLOW was accepted. Pure: bytes in, values out.

A frame is a letter, a length and a body. From the leader: R records · W rewind to an index · Q tell me your history ·
S a piece of a snapshot · Z the snapshot is whole · H heartbeat · M members. From the follower: A acknowledged · E ends
of its records.
"""

from _struct import Struct

VERSION = 1
HEADER = Struct("<cI")
ACK = Struct("<QId")  # last durable index, epoch, the leader's time in the last heartbeat heard
BEAT = Struct("<QQId")  # committed index, last index, epoch, the leader's time
REWIND = Struct("<QI")  # index, chain
SIZE = Struct("<Q")
END = Struct("<QI")  # index, chain
BODY_BYTES_MAX = 4 << 20
ENDS_MAX = 100_000


class BadFrame(Exception):
    """These bytes are no frame; the connection cannot go on."""


def encode(kind, body=b""):
    """Return one frame."""
    return HEADER.pack(kind, len(body)) + body


class Decoder:
    """Cuts a byte stream into frames."""

    def __init__(self):
        self.held = b""

    def feed(self, data):
        """Return [(kind, body)] of the frames that are now whole; raises BadFrame."""
        data = self.held + data if self.held else data
        frames, at = [], 0
        while at + HEADER.size <= len(data):
            kind, size = HEADER.unpack_from(data, at)
            if size > BODY_BYTES_MAX:
                raise BadFrame(f"a frame of {size} bytes")
            end = at + HEADER.size + size
            if end > len(data):
                break
            frames.append((kind, data[at + HEADER.size : end]))
            at = end
        self.held = data[at:]
        return frames


def unpack(shape, body):
    """Return the values of a body that has exactly this shape; raises BadFrame."""
    if len(body) != shape.size:
        raise BadFrame(f"a body of {len(body)} bytes, {shape.size} are due")
    return shape.unpack(body)


def encode_ends(ends):
    """Return the E frame for [(index, chain)]."""
    return encode(b"E", b"".join([END.pack(index, chain) for index, chain in ends]))


def decode_ends(body):
    """Return [(index, chain)] of an E frame; raises BadFrame."""
    if len(body) % END.size:
        raise BadFrame("ends that do not end")
    return list(END.iter_unpack(body))


def encode_members(members):
    """Return the M frame for {node id: (slot, address)}."""
    return encode(
        b"M", "\n".join([f"{node} {slot} {address}" for node, (slot, address) in members.items()]).encode()
    )


def decode_members(body):
    """Return {node id: (slot, address)} of an M frame; raises BadFrame."""
    try:
        rows = [line.split(" ") for line in body.decode().splitlines()]
        return {node: (int(slot), address) for node, slot, address in rows}
    except ValueError as error:
        raise BadFrame("members that cannot be read") from error
