"""What a frame looks like: its fields in order, numbers of fixed size and parts of any length.

`speak: frames` describes a layout with its setting `frame`. The length of a part is the value of a
field before it, which may count several parts, the whole frame, or all that follows it. Values and
bytes only; no socket.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from kvsim.client.codec import REPLY_BYTES_MAX, Malformed, ReplyFrame, too_long
from kvsim.client.templates import Unsendable
from kvsim.config.protocol_schema import GROUPS

ByteOrder = Literal["big", "little"]
# What `length` may count besides parts: the whole frame; what follows the field itself.
FRAME, REST = "frame", "rest"
# Nanoseconds.
TIME_UNITS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
ANY = "any"


class FrameField(Struct, frozen=True, kw_only=True):
    """One field: exactly one of the first six says what it is.

    `constant`: always this number. `given`: a number that each request states under this name.
    `length`: how many bytes these parts have (or FRAME, REST). `request_number`: counts the
    requests; a reply repeats it. `time`: when the request is sent, since 1970, in this unit.
    `part`: bytes; the others are numbers of `size` bytes. `reply`: what a constant is in a reply;
    ANY is not looked at. `status`: in a reply, the number is the `status` that rules read.
    """

    constant: int | None = None
    given: str | None = None
    length: tuple[str, ...] = ()
    request_number: bool = False
    time: str | None = None
    part: str | None = None
    size: int = 0
    byte_order: ByteOrder | None = None
    reply: int | str | None = None
    status: bool = False

    @property
    def in_reply(self) -> int | str | None:
        """The number that a reply must have here; ANY or None: it is not looked at."""
        return self.reply if self.status or self.reply is not None else self.constant


class FrameLayout(Struct, frozen=True):
    """The fields of every frame. `limit` is the longest reply, in bytes."""

    fields: tuple[FrameField, ...]
    byte_order: ByteOrder = "big"
    limit: int = REPLY_BYTES_MAX

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(field.part for field in self.fields if field.part is not None)

    @property
    def given(self) -> tuple[str, ...]:
        return tuple(field.given for field in self.fields if field.given is not None)

    @property
    def counts_requests(self) -> bool:
        return any(field.request_number for field in self.fields)

    def order(self, field: FrameField) -> ByteOrder:
        return field.byte_order or self.byte_order

    def fixed_bytes(self, start: int = 0) -> int:
        """How many bytes the fields from `start` on have, without the parts."""
        return sum(field.size for field in self.fields[start:])

    def counted(self, index: int) -> tuple[tuple[str, ...], int]:
        """What the length at this index counts: parts, and bytes of other fields."""
        words = self.fields[index].length
        if FRAME in words:
            return self.parts, self.fixed_bytes()
        if REST in words:
            behind = self.fields[index + 1 :]
            parts = tuple(field.part for field in behind if field.part is not None)
            return parts, self.fixed_bytes(index + 1)
        return words, 0

    def mistake(self) -> str:
        """Why frames cannot be read by this layout, for the author; empty when they can."""
        known: set[str] = set()
        counted: list[set[str]] = []
        for index, field in enumerate(self.fields):
            unknown = set(field.length) - {FRAME, REST, *self.parts}
            if unknown:
                words = ", ".join((*self.parts, FRAME, REST))
                return f"`length: {min(unknown)}` counts no part of this frame; it has {words}"
            if field.length:
                counted.append(set(self.counted(index)[0]))
            if field.part is None:
                continue
            while lone := [rest for parts in counted if len(rest := parts - known) == 1]:
                known |= lone[0]
            if field.part not in known:
                return f"no `length` before the part `{field.part}` tells how long it is"
        if len(set(self.parts)) < len(self.parts):
            return "two parts have one name"
        return ""


def simple_layout(
    size: int = 4,
    byte_order: ByteOrder = "big",
    includes_itself: bool = False,
    limit: int = REPLY_BYTES_MAX,
) -> FrameLayout:
    """A length of `size` bytes and the body."""
    length = FrameField(length=(FRAME if includes_itself else "body",), size=size)
    return FrameLayout((length, FrameField(part="body")), byte_order, limit)


def encode(
    layout: FrameLayout,
    parts: Mapping[str, bytes],
    given: Mapping[str, int] | None = None,
    number: int = 0,
) -> bytes:
    """The frame. Raises Unsendable when a number does not fit into its field."""
    pieces = []
    for index, field in enumerate(layout.fields):
        if field.part is not None:
            pieces.append(parts.get(field.part, b""))
            continue
        value = _number(layout, index, parts, given or {}, number)
        try:
            pieces.append(value.to_bytes(field.size, layout.order(field)))
        except OverflowError:
            what = "its length" if field.length else f"the number {value}"
            total = sum(map(len, parts.values()))
            problem = f"{what} does not fit into {field.size} bytes"
            raise Unsendable(f"cannot send a body of {total} bytes: {problem}") from None
    return b"".join(pieces)


def _number(
    layout: FrameLayout,
    index: int,
    parts: Mapping[str, bytes],
    given: Mapping[str, int],
    number: int,
) -> int:
    field = layout.fields[index]
    if field.length:
        counted, fixed = layout.counted(index)
        return fixed + sum(len(parts.get(part, b"")) for part in counted)
    if field.request_number:
        return number % (1 << 8 * field.size)
    if field.time is not None:
        return time.time_ns() // TIME_UNITS[field.time] % (1 << 8 * field.size)
    return given[field.given] if field.given is not None else field.constant or 0


class _Incomplete(Exception):
    """More bytes must arrive."""


class FrameDecoder:
    """A codec.Decoder of one frame. `sent`: the request, whose number the reply repeats.

    A frame with another number belongs to no request under way: it is skipped.
    """

    def __init__(self, layout: FrameLayout, sent: bytes = b"") -> None:
        self._layout = layout
        self._number = _read_number(layout, sent) if sent and layout.counts_requests else None
        self._buffer = bytearray()
        self._skipped = bytearray()
        self._missing_of = ""
        # The frame is not whole before the buffer has so many bytes.
        self._needed = 0

    def feed(self, data: bytes) -> ReplyFrame | None:
        self._buffer += data
        while len(self._buffer) >= self._needed:
            try:
                number, stop, reply = self._read(bytes(self._buffer))
            except _Incomplete:
                return None
            if self._number is None or number == self._number:
                return reply
            self._skipped += self._buffer[:stop]
            del self._buffer[:stop]
            self._needed = 0
        return None

    def finish(self) -> ReplyFrame | None:
        return None

    @property
    def missing(self) -> str:
        if self._number is not None and self._skipped:
            return f"a frame with the request number {self._number}"
        if self._needed:
            return f"{self._needed - len(self._buffer)} bytes {self._missing_of}"
        return "a frame"

    def _read(self, data: bytes) -> tuple[int | None, int, ReplyFrame]:
        """The request number of the frame, where it ends, and what it holds."""
        layout = self._layout
        parts: dict[str, bytes] = {}
        # What each length counts: the parts, and how many bytes they have together.
        lengths: list[tuple[tuple[str, ...], int]] = []
        number = status = None
        position = 0
        for index, field in enumerate(layout.fields):
            if field.part is not None:
                size = _sizes(lengths).get(field.part, 0)
                if size > layout.limit:
                    raise too_long(layout.limit)
                what = f"of the part `{field.part}`" if len(layout.parts) > 1 else "of the frame"
                parts[field.part] = self._take(data, position, size, what)
                position += size
                continue
            kind = "of a length of" if field.length else "of a field of"
            raw = self._take(data, position, field.size, f"{kind} {field.size}")
            value = int.from_bytes(raw, layout.order(field))
            position += field.size
            if field.length:
                counted, fixed = layout.counted(index)
                lengths.append((counted, _at_least(value, fixed)))
            elif field.request_number:
                number = value
            if field.status:
                status = value
            if isinstance(field.in_reply, int) and value != field.in_reply:
                problem = f"byte {position - field.size} of a frame is {value:#x}"
                raise Malformed(f"{problem}, not {field.in_reply:#x}")
        extracted = {
            name: part.decode("utf-8", "surrogateescape")
            for name, part in parts.items()
            if name in GROUPS
        }
        reply = ReplyFrame(
            b"".join(parts.values()),
            data[position:],
            status=status,
            extracted=extracted,
            skipped=bytes(self._skipped),
        )
        return number, position, reply

    def _take(self, data: bytes, position: int, size: int, what: str) -> bytes:
        if len(data) < position + size:
            self._needed = position + size
            self._missing_of = what
            raise _Incomplete
        return data[position : position + size]


def _at_least(announced: int, fixed: int) -> int:
    if announced < fixed:
        problem = f"a frame announces {announced} bytes, less than its length takes itself"
        raise Malformed(problem)
    return announced - fixed


def _sizes(lengths: Sequence[tuple[tuple[str, ...], int]]) -> dict[str, int]:
    """How long each part is, by lengths that count one part, or all but one of known size."""
    sizes: dict[str, int] = {}
    left = list(lengths)
    while found := [item for item in left if len(set(item[0]) - sizes.keys()) <= 1]:
        for counted, total in found:
            left.remove((counted, total))
            rest = total - sum(sizes.get(part, 0) for part in counted)
            unknown = set(counted) - sizes.keys()
            if rest < 0 or (rest and not unknown):
                raise Malformed("the lengths of a frame contradict each other")
            sizes.update(dict.fromkeys(unknown, rest))
    return sizes


def _read_number(layout: FrameLayout, sent: bytes) -> int | None:
    """The request number of a request; None for bytes that are no frame."""
    try:
        return FrameDecoder(_as_sent(layout))._read(sent)[0]
    except (Malformed, _Incomplete):
        return None


def _as_sent(layout: FrameLayout) -> FrameLayout:
    """The layout of requests: constants are not looked at."""
    fields = tuple(replace(field, reply=ANY, status=False) for field in layout.fields)
    return FrameLayout(fields, layout.byte_order, layout.limit)
