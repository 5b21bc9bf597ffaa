"""One file of the log: a header, then records, then room that is reserved. Knows files; knows nothing of keys.

Room is reserved ahead of the writes, filled with zeros where every write is synced: then a sync has no file
size to write, and a full disk is noticed before a write is accepted, not after.
"""

import errno
import posix
from _struct import Struct
from zlib import crc32

from kvstore import record

HEADER = Struct("<4sIQII")  # magic, epoch, index of the first command, chain before it, crc32 of these
MAGIC = b"kvS1"
NAME = "log-%016d"
STEP_BYTES_MIN = 64 << 10
STEP_BYTES_MAX = 1 << 20
MARK_EVERY_BYTES = 64 << 10
READ_BYTES = 256 << 10
NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


class BadSegment(Exception):
    """The file is no segment, or its header is damaged or unfinished."""


class Segment:
    """An open log file. `end` is where the next record goes, `room` how many bytes are reserved behind it."""

    def __init__(self, path, fd, first, epoch, chain):
        self.path, self.fd = path, fd
        self.first, self.epoch, self.chain = first, epoch, chain
        self.end = HEADER.size
        self.size = self.end
        self.last = first - 1
        self.step = STEP_BYTES_MIN
        self.marks = [(first, self.end)]  # (index of the first command, offset) of a record now and then

    @classmethod
    def create(cls, folder, first, epoch, chain):
        """Make a new file; raises OSError."""
        path = f"{folder}/{NAME % first}"
        fd = posix.open(path, posix.O_RDWR | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o644)
        body = HEADER.pack(MAGIC, epoch, first, chain, 0)[:-4]
        try:
            posix.pwrite(fd, body + crc32(body).to_bytes(4, "little"), 0)
        except OSError:
            posix.close(fd)
            posix.unlink(path)
            raise
        return cls(path, fd, first, epoch, chain)

    @classmethod
    def open(cls, path):
        """Open a file of an earlier run; raises BadSegment."""
        fd = posix.open(path, posix.O_RDWR | posix.O_CLOEXEC)
        head = posix.pread(fd, HEADER.size, 0)
        if len(head) < HEADER.size or HEADER.unpack(head)[4] != crc32(head[:-4]):
            posix.close(fd)
            raise BadSegment("its header is damaged or unfinished")
        magic, epoch, first, chain, _ = HEADER.unpack(head)
        if magic != MAGIC:
            posix.close(fd)
            raise BadSegment("it is no log file of this format")
        segment = cls(path, fd, first, epoch, chain)
        segment.size = posix.fstat(fd).st_size
        return segment

    @property
    def room(self):
        return self.size - self.end

    def reserve(self, size, zeros):
        """Make sure `size` bytes fit behind the end. Raises OSError when the disk has no room; nothing is lost then."""
        if size <= self.room:
            return
        for step in (max(self.step, size), size):
            try:
                self._extend(self.end + step, zeros)
            except OSError as error:
                if error.errno not in NO_ROOM or step == size:
                    raise
            else:
                self.step = min(self.step * 2, STEP_BYTES_MAX)
                return

    def _extend(self, size, zeros):
        if not zeros:
            posix.posix_fallocate(self.fd, self.size, size - self.size)
            self.size = size
        while self.size < size:
            self.size += posix.pwrite(self.fd, bytes(min(size - self.size, READ_BYTES)), self.size)

    def passed(self, first, count, at, after):
        """Note that a record of `count` commands, the first with index `first`, lies from `at` to `after`."""
        if at - self.marks[-1][1] >= MARK_EVERY_BYTES:
            self.marks.append((first, at))
        self.last = first + count - 1
        self.end = after

    def append(self, packed, last):
        """Write one record behind the end, `last` the index it ends with; room must be reserved. Raises OSError."""
        at = self.end
        if at - self.marks[-1][1] >= MARK_EVERY_BYTES:
            self.marks.append((self.last + 1, at))
        done = posix.pwrite(self.fd, packed, at)
        while done < len(packed):
            done += posix.pwrite(self.fd, packed[done:], at + done)
        self.end = at + done
        self.last = last
        self.size = max(self.size, self.end)

    def read_all(self):
        """Return the whole file."""
        parts, at = [], 0
        while part := posix.pread(self.fd, self.size - at, at):
            parts.append(part)
            at += len(part)
        return b"".join(parts)  # one part as a rule, which `join` hands back uncopied

    def read(self, offset):
        """Return whole records from `offset`, about READ_BYTES of them and at least one; b"" at the end."""
        data = posix.pread(self.fd, min(READ_BYTES, self.end - offset), offset)
        at = 0
        while at + record.HEADER_SIZE <= len(data):
            size = record.read_header(data, at)[0]
            if at + size > len(data):
                if at == 0:
                    return posix.pread(self.fd, size, offset)
                break
            at += size
        return data[:at]

    def find(self, index, chain):
        """Return the offset of the record behind the one that ends with `index` and `chain`, or None."""
        if index == self.first - 1:
            return HEADER.size if chain == self.chain else None
        at = max(offset for first, offset in self.marks if first <= index)
        while at < self.end:
            size, _, count, first, found = record.read_header(posix.pread(self.fd, record.HEADER_SIZE, at))
            at += size
            if first + count - 1 >= index:
                return at if (first + count - 1, found) == (index, chain) else None
        return None

    def cut(self, offset):
        """Cut the file at `offset`, behind the last record."""
        posix.ftruncate(self.fd, offset)
        self.end = self.size = offset

    def seal(self):
        """Give reserved room back."""
        if self.size > self.end:
            self.cut(self.end)

    def close(self):
        posix.close(self.fd)
