"""The messages between leader and follower after FOLLOW was accepted. Pure: bytes in, values out.

A frame is a letter, a length and a body.

    from the leader:    R records | W rewind to an index | Q send the ends of your records |
                        S a piece of a snapshot | Z the snapshot is complete | H heartbeat |
                        M members | C commit index (with --elect)
    from the follower:  A acknowledged | E ends of its records
"""

from _struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kvstore.interfaces import Members

VERSION = 2
# letter, body size
HEADER = Struct("<cI")
# last durable index, term, the leader's time in the last heartbeat received
ACK = Struct("<QId")
# commit index, last index, term, the leader's time
HEARTBEAT = Struct("<QQId")
# index, chain
REWIND = Struct("<QI")
# snapshot index
SNAPSHOT_END = Struct("<Q")
# commit index
COMMIT = Struct("<Q")
# index, chain
RECORD_END = Struct("<QI")
BODY_BYTES_MAX = 4 << 20
RECORD_ENDS_MAX = 100_000


class BadFrame(Exception):
    """The bytes are not a frame; the connection cannot continue."""


def encode(kind: bytes, body: bytes = b"") -> bytes:
    """Return one frame."""
    return HEADER.pack(kind, len(body)) + body


class FrameDecoder:
    """Splits a byte stream into frames."""

    def __init__(self) -> None:
        self.buffered = b""

    def feed(self, data: bytes) -> list[tuple[bytes, bytes]]:
        """Return [(kind, body)] of the frames that are now complete; raises BadFrame."""
        data = self.buffered + data if self.buffered else data
        frames, offset = [], 0
        while offset + HEADER.size <= len(data):
            kind, size = HEADER.unpack_from(data, offset)
            if size > BODY_BYTES_MAX:
                raise BadFrame(f"a frame of {size} bytes; at most {BODY_BYTES_MAX} are allowed")
            end = offset + HEADER.size + size
            if end > len(data):
                break
            frames.append((kind, data[offset + HEADER.size : end]))
            offset = end
        self.buffered = data[offset:]
        return frames


def unpack(layout: Struct, body: bytes) -> "tuple[Any, ...]":
    """Return the values of a body that has exactly this layout; raises BadFrame."""
    if len(body) != layout.size:
        raise BadFrame(f"a body of {len(body)} bytes where {layout.size} are expected")
    return layout.unpack(body)


def encode_record_ends(ends: list[tuple[int, int]]) -> bytes:
    """Return the body of an E frame for [(index, chain)]."""
    return b"".join([RECORD_END.pack(index, chain) for index, chain in ends])


def decode_record_ends(body: bytes) -> list[tuple[int, int]]:
    """Return [(index, chain)] from the body of an E frame; raises BadFrame."""
    if len(body) % RECORD_END.size:
        raise BadFrame(f"a list of record ends of {len(body)} bytes is cut short")
    return list(RECORD_END.iter_unpack(body))


def encode_members(members: "Members") -> bytes:
    """Return the body of an M frame for {node id: (slot, peer name)}."""
    rows = [f"{node_id} {slot} {peer_name}" for node_id, (slot, peer_name) in members.items()]
    return "\n".join(rows).encode()


def decode_members(body: bytes) -> "Members":
    """Return {node id: (slot, peer name)} from the body of an M frame; raises BadFrame."""
    try:
        rows = [line.split(" ") for line in body.decode().splitlines()]
        return {node_id: (int(slot), peer_name) for node_id, slot, peer_name in rows}
    except ValueError as error:
        raise BadFrame("a list of members that cannot be decoded") from error
