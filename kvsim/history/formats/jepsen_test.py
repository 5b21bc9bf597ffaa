"""Jepsen's `test.jepsen`, its binary format since 0.3: the history in it.

Blocks of a length, a checksum and a type, and an index that maps their ids to their offsets; see
jepsen.store.format. The root block is the map of the test, whose `:history` names the block of the
history: a vector in chunks, each a stream of operations in Fressian. Results and everything else
are not read. An error names the operation by its number, from 1, as a line.

While a test runs, Jepsen writes a new index behind every chunk of 16,384 operations. A test that
crashed leaves bytes that no index names; the operations before them are judged, and the history's
origin says so.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from kvsim.errors import UsageError
from kvsim.history.fressian import FressianError, FressianReader
from kvsim.history.history import History
from kvsim.history.jepsen_events import JepsenEvents
from kvsim.history.typed_values import Tagged

MAGIC = b"JEPSEN"
# Magic, version, offset of the index.
FILE_HEADER = struct.Struct(">6siq")
# Length with the header, checksum, type; 14 bytes of it are not used.
BLOCK_HEADER = struct.Struct(">qIh14x")
VERSIONS = (0, 1)
INDEX, FRESSIAN, PARTIAL_MAP, STREAM, BIG_VECTOR = range(1, 6)
DEPTH_MAX = 20
CRASHED = "the test ended before its first operations were written here; jepsen.log may have them"


def matches(head: str) -> bool:
    """Whether a file that begins like this is such a file."""
    return head.startswith(MAGIC.decode())


def read_bytes(data: bytes, file: str = "test.jepsen") -> History:
    """The history in a file. Raises UsageError, FormatError."""
    events = JepsenEvents(file)
    try:
        blocks = _Blocks(data)
        for number, entry in enumerate(blocks.history(), 1):
            events.add_map(entry, number)
        unnamed = len(data) - blocks.end()
    except (FressianError, struct.error) as error:
        raise UsageError(f"{file}: cannot be read as a test.jepsen: {error}") from error
    history = events.finished()
    if not unnamed:
        return history
    cut = f"{file}, without its last {unnamed:,} bytes: the test ended before it indexed them"
    return replace(history, origin=cut)


class _Blocks:
    """The blocks of a file. Raises FressianError where they are damaged."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        if len(data) < FILE_HEADER.size or not data.startswith(MAGIC):
            raise FressianError("it does not begin with JEPSEN and the offset of an index")
        _, version, index = FILE_HEADER.unpack_from(data)
        if version not in VERSIONS:
            raise FressianError(f"it has the version {version}; known are 0 and 1")
        if not index:
            raise FressianError(f"it has no index yet: {CRASHED}")
        self.index = index
        type_, content = self._at(index)
        if type_ != INDEX or len(content) % 12 != 4:
            raise FressianError(f"it has no index: {CRASHED}")
        (self.root,) = struct.unpack_from(">i", content)
        self.offsets = dict(struct.iter_unpack(">iq", content[4:]))

    def end(self) -> int:
        """The first byte behind all blocks that the index names, and behind the index."""
        offsets = (self.index, *self.offsets.values())
        ends = [at + BLOCK_HEADER.unpack_from(self.data, at)[0] for at in offsets]
        return int(max(ends))

    def history(self) -> Iterator[Any]:
        """The operations of the test."""
        number: int = self.root
        for _ in range(DEPTH_MAX):
            type_, content = self._block(number)
            if type_ not in (FRESSIAN, PARTIAL_MAP):
                raise FressianError(f"block {number} is not the map of a test")
            begin = 4 if type_ == PARTIAL_MAP else 0
            found = FressianReader(content[begin:]).read()
            if isinstance(found, dict) and ":history" in found:
                yield from self._items(found[":history"], 0)
                return
            number = struct.unpack_from(">i", content)[0] if begin else 0
            if not number:
                break
        raise FressianError("the map of the test has no :history")

    def _items(self, value: Any, depth: int) -> Iterator[Any]:
        """The items of a vector, or of the blocks that a reference names."""
        if isinstance(value, list):
            yield from value
            return
        if value is None:
            raise FressianError(f"its :history is empty yet: {CRASHED}")
        if not isinstance(value, Tagged) or value.tag != "block-ref" or depth > DEPTH_MAX:
            raise FressianError("its :history is neither a vector nor a block")
        type_, content = self._block(_first_part(value))
        if type_ == STREAM:
            yield from FressianReader(content).objects()
        elif type_ == BIG_VECTOR:
            for _, number in struct.iter_unpack(">qi", content[8:]):
                yield from self._items(Tagged("block-ref", [number]), depth + 1)
        else:
            yield from self._items(FressianReader(content).read(), depth + 1)

    def _block(self, number: Any) -> tuple[int, bytes]:
        if not isinstance(number, int) or number not in self.offsets:
            raise FressianError(f"it has no block {str(number)[:20]}")
        return self._at(self.offsets[number])

    def _at(self, offset: int) -> tuple[int, bytes]:
        """The type and the content of the block at an offset."""
        if not FILE_HEADER.size <= offset <= len(self.data) - BLOCK_HEADER.size:
            raise FressianError(f"a block at byte {offset} is not in the file")
        length, checksum, type_ = BLOCK_HEADER.unpack_from(self.data, offset)
        begin, end = offset + BLOCK_HEADER.size, offset + length
        if not begin <= end <= len(self.data):
            raise FressianError(f"the block at byte {offset} does not end in the file")
        content = self.data[begin:end]
        # The sum is over the content, then the header with a sum of 0.
        if zlib.crc32(BLOCK_HEADER.pack(length, 0, type_), zlib.crc32(content)) != checksum:
            raise FressianError(f"the checksum of the block at byte {offset} does not match")
        return type_, content


def _first_part(reference: Tagged) -> Any:
    return reference.value[0] if isinstance(reference.value, list) and reference.value else None
