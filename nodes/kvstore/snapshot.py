"""The whole state at one index, as a file; it replaces old log segments.

Does not know sockets or roles.

    header: magic 4 | index 8 | term 4 | chain 4 | crc32 of these 4
    chunks: size 4 | crc32 of the rest 4 | number of keys 4 | size of the first key 4 | first key |
            marshal of [keys, values], both lists of bytes
    end:    a chunk of size 0 and crc32 0, and nothing after it

The keys are sorted, over all chunks. So the first keys of the chunks tell which chunk holds a key,
and a chunk can be decoded when one of its keys is needed.

`marshal` reads a million keys several times faster than any other format in the standard library.
Its version 2 has not changed in twenty years. Nothing is unmarshalled before its checksum was
compared.
"""

import marshal
import posix
from _struct import Struct
from zlib import crc32

from kvstore.errors import StartError
from kvstore.log import remove_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

HEADER = Struct("<4sQIII")
CHUNK = Struct("<II")
CHUNK_HEAD = Struct("<II")
MAGIC = b"kvP2"
PREFIX = "snapshot-"
# a chunk has fewer keys if their values are longer than this together
CHUNK_KEYS = 1000
CHUNK_BYTES_MAX = 1 << 20
MARSHAL_VERSION = 2


class BadSnapshot(Exception):
    """The file is not a complete snapshot."""


def encode(data: dict[bytes, bytes], index: int, term: int, chain: int) -> "Iterator[bytes]":
    """Yield the pieces of a snapshot file of {key: value}."""
    body = HEADER.pack(MAGIC, index, term, chain, 0)[:-4]
    yield body + crc32(body).to_bytes(4, "little")
    keys = sorted(data)
    for start in range(0, len(keys), CHUNK_KEYS):
        some = keys[start : start + CHUNK_KEYS]
        yield from encode_chunks(some, [data[key] for key in some])
    yield CHUNK.pack(0, 0)


def encode_chunks(keys: "Sequence[bytes]", values: "Sequence[bytes]") -> "Iterator[bytes]":
    """Yield these keys as one chunk, or as several if their values are long."""
    if len(keys) > 1 and sum(map(len, values)) > CHUNK_BYTES_MAX:
        middle = len(keys) // 2
        yield from encode_chunks(keys[:middle], values[:middle])
        yield from encode_chunks(keys[middle:], values[middle:])
        return
    head = CHUNK_HEAD.pack(len(keys), len(keys[0])) + keys[0]
    body = head + marshal.dumps([keys, values], MARSHAL_VERSION)
    yield CHUNK.pack(len(body), crc32(body)) + body


class SnapshotFile:
    """An open snapshot. Every checksum is compared when it is opened, and nothing is decoded.

    `keys`: the number of keys. `first_keys`: the first key of each chunk. `chunks`: (offset, size,
    crc32) of each chunk. Raises BadSnapshot, OSError.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.keys = 0
        self.first_keys: list[bytes] = []
        self.chunks: list[tuple[int, int, int]] = []
        self.fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
        try:
            self.size = posix.fstat(self.fd).st_size
            self._check()
        except (BadSnapshot, OSError):
            self.close()
            raise

    def _check(self) -> None:
        header = posix.pread(self.fd, HEADER.size, 0)
        wrong_size = len(header) < HEADER.size
        if wrong_size or header[:4] != MAGIC or HEADER.unpack(header)[4] != crc32(header[:-4]):
            raise BadSnapshot("it does not begin like a snapshot")
        _, self.index, self.term, self.chain, _ = HEADER.unpack(header)
        offset = HEADER.size
        while size := self._check_chunk(offset):
            offset += CHUNK.size + size

    def _check_chunk(self, offset: int) -> int:
        """Check the chunk at `offset` and note its position; return its size, 0 for the end."""
        header = posix.pread(self.fd, CHUNK.size, offset)
        if len(header) < CHUNK.size:
            raise BadSnapshot("it has no end")
        size: int
        crc: int
        size, crc = CHUNK.unpack(header)
        offset += CHUNK.size
        number = len(self.chunks)
        if not size:
            # a damaged or unwritten chunk header looks like the end, but more bytes follow
            if crc or offset != self.size:
                raise BadSnapshot(f"more bytes follow chunk {number}, which should be the end")
            return 0
        self.chunks.append((offset, size, crc))
        body = self._read_body(number)
        count, key_size = CHUNK_HEAD.unpack_from(body)
        self.keys += count
        self.first_keys.append(body[CHUNK_HEAD.size : CHUNK_HEAD.size + key_size])
        return size

    def _read_body(self, number: int) -> bytes:
        offset, size, crc = self.chunks[number]
        # a damaged size must not allocate more memory than the file has
        body = posix.pread(self.fd, min(size, self.size), offset)
        if len(body) < size or crc32(body) != crc:
            raise BadSnapshot(f"chunk {number} is damaged")
        return body

    def read_chunk(self, number: int) -> tuple[list[bytes], list[bytes]]:
        """Return (keys, values) of one chunk; its checksum is compared again.

        Raises BadSnapshot, OSError.
        """
        body = self._read_body(number)
        _, key_size = CHUNK_HEAD.unpack_from(body)
        keys, values = marshal.loads(memoryview(body)[CHUNK_HEAD.size + key_size :])
        return keys, values

    def read_all(self) -> dict[bytes, bytes]:
        """Return {key: value}. Raises BadSnapshot, OSError."""
        data: dict[bytes, bytes] = {}
        for number in range(len(self.chunks)):
            data.update(zip(*self.read_chunk(number), strict=True))
        return data

    def close(self) -> None:
        """Close the file."""
        posix.close(self.fd)


def read_chain(fd: int) -> int:
    """Return the chain in the header of an open snapshot."""
    chain: int = HEADER.unpack(posix.read(fd, HEADER.size))[3]
    return chain


def write_file(
    path: str, pieces: "Iterable[bytes]", is_wanted: "Callable[[], bool]" = lambda: True
) -> None:
    """Write a file whole and sync it; raises OSError, also when `is_wanted` returns False."""
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
    fd = posix.open(path, flags, 0o644)
    try:
        for piece in pieces:
            if not is_wanted():
                raise InterruptedError(f"{path} is no longer wanted")
            while piece:
                piece = piece[posix.write(fd, piece) :]
        posix.fsync(fd)
    finally:
        posix.close(fd)


def newest(folder: str) -> tuple[int, str | None]:
    """Return (index, path) of the newest complete snapshot in a folder, or (0, None)."""
    names = [name for name in posix.listdir(folder) if name.startswith(PREFIX)]
    numbers = [name.removeprefix(PREFIX) for name in names]
    complete = [int(number) for number in numbers if number.isdigit()]
    if not complete:
        return 0, None
    return max(complete), path_of(folder, max(complete))


def path_of(folder: str, index: int) -> str:
    """Return the path of the snapshot of an index."""
    return f"{folder}/{PREFIX}{index:016d}"


def open_newest(folder: str) -> SnapshotFile | None:
    """Open the newest snapshot, or return None if there is none. Raises StartError, OSError."""
    _, path = newest(folder)
    if path is None:
        return None
    try:
        return SnapshotFile(path)
    except BadSnapshot as error:
        raise StartError(
            f"{path} is damaged: {error}. It cannot be repaired; if another node has the data, "
            "remove this data directory and start this node as its follower"
        ) from error


def remove_others(folder: str, index: int) -> None:
    """Remove incomplete snapshots and those of another index."""
    for name in posix.listdir(folder):
        if name.startswith(PREFIX) and name != f"{PREFIX}{index:016d}":
            remove_file(f"{folder}/{name}")
