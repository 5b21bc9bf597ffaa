"""The append-only log of one node: records in files that only grow. Knows nothing of keys or roles."""

import posix

from kvstore import record
from kvstore.errors import StartError

LOG_FILE = "log-%016d"
GENESIS_CHAIN = 0


class Log:
    """Records on disk, in order. `append` returns when the operating system has the bytes, so they survive a
    SIGKILL.
    """

    def __init__(self, folder):
        self.path = f"{folder}/{LOG_FILE % 1}"
        self.last = 0
        self.epoch = 0
        self.chain = GENESIS_CHAIN
        self.fd = posix.open(self.path, posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC, 0o644)
        self.end = 0

    def replay(self):
        """Yield the payload of every whole record, then cut what a crash left unfinished behind the last one.

        Raises StartError, naming file and offset, when whole records follow a damaged one.
        """
        data = self._read_all()
        while self.end < len(data):
            try:
                payload, self.epoch, count, first, self.chain, self.end = record.decode(
                    data, self.end, self.chain
                )
            except record.BadRecord as error:
                self._check_nothing_follows(data, error)
                posix.ftruncate(self.fd, self.end)
                return
            self.last = first + count - 1
            yield payload

    def append(self, payload, count):
        """Write one record of `count` commands; raises OSError when the disk will not take it (nothing is
        kept then).
        """
        packed, chain = record.encode(payload, self.epoch, count, self.last + 1, self.chain)
        view, done = memoryview(packed), 0
        try:
            while done < len(packed):
                done += posix.pwrite(self.fd, view[done:], self.end + done)
        except OSError:
            posix.ftruncate(self.fd, self.end)
            raise
        self.end += done
        self.last += count
        self.chain = chain

    def close(self):
        """Sync and close the file."""
        posix.fsync(self.fd)
        posix.close(self.fd)

    def _read_all(self):
        size, parts, at = posix.fstat(self.fd).st_size, [], 0
        while at < size:
            part = posix.pread(self.fd, min(size - at, 1 << 24), at)
            if not part:
                break
            parts.append(part)
            at += len(part)
        return b"".join(parts)

    def _check_nothing_follows(self, data, error):
        at = data.find(record.MAGIC, self.end + 1)
        while at >= 0:
            try:
                record.decode(data, at, None)
            except record.BadRecord:
                at = data.find(record.MAGIC, at + 1)
                continue
            raise StartError(
                f"{self.path} is damaged at offset {self.end}: {error}, but whole records follow at {at}"
            )
