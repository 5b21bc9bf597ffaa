"""One file of the log: a header, then records, then reserved space. Does not know keys.

Space is reserved before the writes need it, and filled with zeros where every write is synced. So a
sync need not write a new file size, and a full disk is detected before a write is accepted.

After the header stands the mark: the offset up to which the file has been synced. It is written
after each sync, so it may be older than the truth, and never newer. It tells damage of what was
synced from what a power cut leaves of the writes after the last sync: any sectors of them.
"""

import errno
import posix
from _struct import Struct
from zlib import crc32

from kvstore import record

# magic, term, index of the first command, chain before it, crc32 of these
HEADER = Struct("<4sIQII")
MAGIC = b"kvS2"
# after the header: the offset up to which the file has been synced, crc32 of it
MARK = Struct("<QI")
RECORDS_AT = HEADER.size + MARK.size
# the mark of a file whose writes are not synced one by one
NOT_MARKED = 2**64 - 1
NAME = "log-%016d"
RESERVE_BYTES_MIN = 64 << 10
RESERVE_BYTES_MAX = 1 << 20
SPARSE_INDEX_BYTES = 64 << 10
READ_BYTES = 256 << 10
DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


class BadSegment(Exception):
    """The file is not a segment, or its header is damaged or incomplete."""


class Segment:
    """An open log file.

    `first` and `last`: the indices of its first and last command. `end`: the offset of the next
    record. `size`: the size of the file, reserved space included. `synced`: the mark.
    `sparse_index`: (index of the first command, offset) of about one record in SPARSE_INDEX_BYTES.
    """

    def __init__(self, path: str, fd: int, first: int, term: int, chain: int) -> None:
        self.path, self.fd = path, fd
        self.first, self.term, self.chain = first, term, chain
        self.end = RECORDS_AT
        self.size = self.end
        self.synced = NOT_MARKED
        self.last = first - 1
        self.reserve_step = RESERVE_BYTES_MIN
        self.sparse_index = [(first, self.end)]

    @classmethod
    def create(cls, folder: str, first: int, term: int, chain: int) -> "Segment":
        """Create a new file; raises OSError."""
        path = f"{folder}/{NAME % first}"
        flags = posix.O_RDWR | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
        fd = posix.open(path, flags, 0o644)
        body = HEADER.pack(MAGIC, term, first, chain, 0)[:-4]
        header = body + crc32(body).to_bytes(4, "little")
        try:
            posix.pwrite(fd, header + encode_mark(NOT_MARKED), 0)
        except OSError:
            posix.close(fd)
            posix.unlink(path)
            raise
        return cls(path, fd, first, term, chain)

    @classmethod
    def open(cls, path: str) -> "Segment":
        """Open a file of an earlier run; raises BadSegment."""
        fd = posix.open(path, posix.O_RDWR | posix.O_CLOEXEC)
        header = posix.pread(fd, RECORDS_AT, 0)
        mark = header[HEADER.size :]
        header = header[: HEADER.size]
        if len(mark) < MARK.size or HEADER.unpack(header)[4] != crc32(header[:-4]):
            posix.close(fd)
            raise BadSegment("its header is damaged or incomplete")
        magic, term, first, chain, _ = HEADER.unpack(header)
        if magic != MAGIC:
            posix.close(fd)
            raise BadSegment("it is not a log file of this format")
        segment = cls(path, fd, first, term, chain)
        segment.size = posix.fstat(fd).st_size
        synced, crc = MARK.unpack(mark)
        # a mark that is damaged tells nothing
        segment.synced = synced if crc == crc32(mark[:-4]) else NOT_MARKED
        return segment

    @property
    def reserved_bytes(self) -> int:
        """The space after the last record that is reserved."""
        return self.size - self.end

    def reserve(self, size: int, zeros: bool) -> None:
        """Reserve `size` bytes after the last record, filled with zeros if asked.

        Raises OSError when the disk is full; nothing is lost then.
        """
        if size <= self.reserved_bytes:
            return
        for step in (max(self.reserve_step, size), size):
            try:
                self._extend(self.end + step, zeros)
            except OSError as error:
                if error.errno not in DISK_FULL_ERRNOS or step == size:
                    raise
            else:
                self.reserve_step = min(self.reserve_step * 2, RESERVE_BYTES_MAX)
                return

    def _extend(self, size: int, zeros: bool) -> None:
        if not zeros:
            posix.posix_fallocate(self.fd, self.size, size - self.size)
            self.size = size
        while self.size < size:
            zeros_now = bytes(min(size - self.size, READ_BYTES))
            self.size += posix.pwrite(self.fd, zeros_now, self.size)

    def add_replayed(self, first: int, count: int, offset: int, end: int) -> None:
        """Add a record of the file: `count` commands from index `first`, at `offset` to `end`."""
        if offset - self.sparse_index[-1][1] >= SPARSE_INDEX_BYTES:
            self.sparse_index.append((first, offset))
        self.last = first + count - 1
        self.end = end

    def append(self, packed: bytes, last: int) -> None:
        """Write one record; `last` is the index of its last command.

        Space for it must be reserved. Raises OSError.
        """
        offset = self.end
        if offset - self.sparse_index[-1][1] >= SPARSE_INDEX_BYTES:
            self.sparse_index.append((self.last + 1, offset))
        written = posix.pwrite(self.fd, packed, offset)
        while written < len(packed):
            written += posix.pwrite(self.fd, packed[written:], offset + written)
        self.end = offset + written
        self.last = last
        self.size = max(self.size, self.end)

    def read_all(self) -> bytes:
        """Return the whole file."""
        return self.read_part(0, self.size)

    def read_part(self, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset` on, fewer at the end of the file."""
        parts, end = [], min(offset + size, self.size)
        while offset < end and (part := posix.pread(self.fd, end - offset, offset)):
            parts.append(part)
            offset += len(part)
        # usually there is one part, which `join` returns without a copy
        return b"".join(parts)

    def read(self, offset: int) -> bytes:
        """Return complete records from `offset`, about READ_BYTES of them and at least one.

        Return b"" at the end. Raises BadRecord.
        """
        data = posix.pread(self.fd, min(READ_BYTES, self.end - offset), offset)
        length = 0
        while length + record.HEADER_SIZE <= len(data):
            size = record.read_header(data, length)[0]
            if length + size > len(data):
                if length == 0:
                    return posix.pread(self.fd, size, offset)
                break
            length += size
        return data[:length]

    def find(self, index: int, chain: int) -> int | None:
        """Return the offset after the record that ends with `index` and `chain`, or None."""
        if index == self.first - 1:
            return RECORDS_AT if chain == self.chain else None
        offset = max(offset for first, offset in self.sparse_index if first <= index)
        while offset < self.end:
            header = posix.pread(self.fd, record.HEADER_SIZE, offset)
            size, _, count, first, found = record.read_header(header)
            offset += size
            if first + count - 1 >= index:
                return offset if (first + count - 1, found) == (index, chain) else None
        return None

    def sync(self) -> None:
        """Wait until every record is on the disk, and mark it. Raises OSError."""
        end = self.end
        posix.fdatasync(self.fd)
        was_marked = self.synced != NOT_MARKED
        self.mark(end)
        if not was_marked:
            # before any record that the mark does not cover
            posix.fdatasync(self.fd)

    def mark(self, synced: int) -> None:
        """Write the mark. Raises OSError."""
        if synced != self.synced:
            posix.pwrite(self.fd, encode_mark(synced), HEADER.size)
            self.synced = synced

    def loses_records(self, offset: int, data: bytes, start: int) -> bool:
        """Whether a cut at `offset` loses a whole record that was synced.

        `data`: the end of the file, `start`: where `offset` is in it. In a file that is not marked
        every record counts as synced.
        """
        return offset < self.synced and has_record(data, start)

    def truncate(self, offset: int) -> None:
        """Cut the file at `offset`, the end of a record."""
        if self.synced != NOT_MARKED:
            self.mark(min(self.synced, offset))
        posix.ftruncate(self.fd, offset)
        self.end = self.size = offset

    def seal(self) -> None:
        """Release the reserved space."""
        if self.size > self.end:
            self.truncate(self.end)

    def close(self) -> None:
        """Close the file."""
        posix.close(self.fd)


def encode_mark(synced: int) -> bytes:
    """Return the bytes of a mark."""
    body = MARK.pack(synced, 0)[:-4]
    return body + crc32(body).to_bytes(4, "little")


def has_record(data: bytes, offset: int) -> bool:
    """Whether a complete record begins anywhere after `offset`."""
    offset = data.find(record.MAGIC, offset + 1)
    while offset >= 0:
        try:
            record.decode(data, offset, None)
        except record.BadRecord:
            offset = data.find(record.MAGIC, offset + 1)
        else:
            return True
    return False
