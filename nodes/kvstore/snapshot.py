"""The whole state at one index, as a file: what lets old log segments go. Knows files; knows no sockets, no roles.

    header: magic 4 | index 8 | epoch 4 | chain 4 | crc32 of these 4
    chunks: size 4 | crc32 4 | marshal of [keys, values], both lists of bytes
    end:    a chunk of size 0 and crc32 0, and nothing behind it

`marshal` because it reads a million keys several times faster than anything else an interpreter brings; its
version 2 has not changed in twenty years, and nothing is unmarshalled before its checksum was compared.
"""

import marshal
import posix
from _struct import Struct
from zlib import crc32

from kvstore.errors import StartError
from kvstore.log import remove_file

HEADER = Struct("<4sQIII")
CHUNK = Struct("<II")
MAGIC = b"kvP1"
PREFIX = "snapshot-"
CHUNK_KEYS = 1000  # of the largest keys and values no more than one read gives, which is 2 GiB
MARSHAL_VERSION = 2


class BadSnapshot(Exception):
    """The file is no whole snapshot."""


def encode(data, index, epoch, chain):
    """Yield the pieces of a snapshot file of {key: value}."""
    body = HEADER.pack(MAGIC, index, epoch, chain, 0)[:-4]
    yield body + crc32(body).to_bytes(4, "little")
    keys, values = list(data), list(data.values())
    for at in range(0, len(keys), CHUNK_KEYS):
        packed = marshal.dumps([keys[at : at + CHUNK_KEYS], values[at : at + CHUNK_KEYS]], MARSHAL_VERSION)
        yield CHUNK.pack(len(packed), crc32(packed)) + packed
    yield CHUNK.pack(0, 0)


def decode(read):
    """Return ({key: value}, index, epoch, chain) from `read(size)`, which returns that many bytes; raises BadSnapshot."""
    head = read(HEADER.size)
    if len(head) < HEADER.size or head[:4] != MAGIC or HEADER.unpack(head)[4] != crc32(head[:-4]):
        raise BadSnapshot("it does not begin like a snapshot")
    _, index, epoch, chain, _ = HEADER.unpack(head)
    data, number = {}, 0
    while True:
        mark = read(CHUNK.size)
        if len(mark) < CHUNK.size:
            raise BadSnapshot("it has no end")
        size, crc = CHUNK.unpack(mark)
        if not size:
            if crc or read(1):  # a mark that was damaged or never written, not the end
                raise BadSnapshot(f"there is more behind chunk {number}, where it ends")
            return data, index, epoch, chain
        packed = read(size)
        if len(packed) < size or crc32(packed) != crc:
            raise BadSnapshot(f"chunk {number} is damaged")
        keys, values = marshal.loads(packed)
        data.update(zip(keys, values, strict=True))
        number += 1


def read_chain(fd):
    """Return the chain in the header of an open snapshot."""
    return HEADER.unpack(posix.read(fd, HEADER.size))[3]


def read_file(path):
    """Return what `decode` returns, from a file; raises BadSnapshot."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        size_max = posix.fstat(fd).st_size  # a damaged length must not ask for more memory than that
        return decode(lambda size: posix.read(fd, min(size, size_max)))
    finally:
        posix.close(fd)


def write_file(path, pieces, keep_going=lambda: True):
    """Write a file whole and sync it; raises OSError, also when `keep_going` says no."""
    fd = posix.open(path, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o644)
    try:
        for piece in pieces:
            if not keep_going():
                raise InterruptedError(f"{path} is no longer wanted")
            while piece:
                piece = piece[posix.write(fd, piece) :]
        posix.fsync(fd)
    finally:
        posix.close(fd)


def newest(folder):
    """Return (index, path) of the newest snapshot in a folder, or (0, None); unfinished ones do not count."""
    numbers = [name.removeprefix(PREFIX) for name in posix.listdir(folder) if name.startswith(PREFIX)]
    finished = [int(number) for number in numbers if number.isdigit()]
    if not finished:
        return 0, None
    return max(finished), path_of(folder, max(finished))


def path_of(folder, index):
    """Return where the snapshot of an index lies."""
    return f"{folder}/{PREFIX}{index:016d}"


def load(folder):
    """Return ({key: value}, index, epoch, chain) of the newest snapshot; raises StartError."""
    _, path = newest(folder)
    if path is None:
        return {}, 0, 0, 0
    try:
        return read_file(path)
    except BadSnapshot as error:
        raise StartError(
            f"{path} is damaged: {error}. It cannot be repaired; with another node at hand, "
            f"remove this data directory and start as its follower"
        ) from error


def tidy(folder, keep_index):
    """Remove unfinished snapshots and those older than `keep_index`."""
    for name in posix.listdir(folder):
        if name.startswith(PREFIX) and name != f"{PREFIX}{keep_index:016d}":
            remove_file(f"{folder}/{name}")
