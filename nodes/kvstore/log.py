"""The append-only log of one node: segments in order. Knows records; does not know keys.

After `append` the operating system has the bytes, so they survive a SIGKILL of the node. After
`sync` the disk has them.
"""

import posix

from kvstore import record
from kvstore.errors import StartError
from kvstore.segment import NOT_MARKED, READ_BYTES, RECORDS_AT, BadSegment, Segment, has_record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from kvstore.interfaces import LogLine, Position

PREFIX = "log-"


class RecordLog:
    """Records in order.

    `start`: (index, term, chain) at the end of the snapshot, zeros without a snapshot. `last`,
    `term` and `chain`: the same of the last record. `repair`: called with a line for what a repair
    loses; None if a damaged log must not be repaired.
    """

    decode = staticmethod(record.decode)

    def __init__(
        self,
        folder: str,
        start: tuple[int, int, int] = (0, 0, 0),
        sync_always: bool = False,
        repair: "LogLine | None" = None,
        log_line: "LogLine" = lambda text: None,
    ) -> None:
        self.folder = folder
        self.sync_always = sync_always
        self.repair = repair
        self.log_line = log_line
        self.last, self.term, self.chain = start
        self.start = start
        self.segments: list[Segment] = []

    # -- replay ----------------------------------------------------------------------------------

    def replay(self) -> "Iterator[bytes]":
        """Yield the payload of every record after `start`. After that the log can be written.

        What a crash left after the last sync, or an incomplete record at the very end, is cut.
        Damage before that raises StartError with file and offset if `repair` is None; otherwise the
        log is cut there.
        """
        paths = self._paths()
        for number, path in enumerate(paths):
            later = paths[number + 1 :]
            try:
                segment = Segment.open(path)
            except BadSegment as error:
                self._on_damage(path, 0, error, bool(later) or has_record(read_bytes(path), 0))
                self._unlink([path, *later])
                return
            self.segments.append(segment)
            if not self.sync_always:
                segment.mark(NOT_MARKED)
            if not self._follows(segment) and len(self.segments) == 1 and self.start[0]:
                self._discard_all()
                return
            if not self._follows(segment):
                wrong = f"it begins with index {segment.first}, {self.last + 1} is expected"
                self._on_damage(path, 0, wrong, True)
                self._remove_last_segment(later)
                return
            if (yield from self._replay_segment(segment, later)):
                break
        if self.segments and self.segments[-1].last < self.start[0]:
            # the snapshot holds more than the log: begin a new segment after it
            self._remove_last_segment([])

    def _paths(self) -> list[str]:
        """Return the paths of the segments, oldest first; remove those a snapshot replaced."""
        names = [name for name in posix.listdir(self.folder) if name.startswith(PREFIX)]
        firsts = sorted(int(name[len(PREFIX) :]) for name in names)
        paths = [f"{self.folder}/{PREFIX}{first:016d}" for first in firsts]
        while len(firsts) > 1 and firsts[1] <= self.start[0] + 1:
            firsts.pop(0)
            posix.unlink(paths.pop(0))
        return paths

    def _follows(self, segment: Segment) -> bool:
        if segment.first - 1 == self.last:
            return segment.chain == self.chain
        return len(self.segments) == 1 and segment.first - 1 < self.last

    def _replay_segment(self, segment: Segment, later: list[str]) -> "Generator[bytes, None, bool]":
        """Yield the payloads of one segment; return whether the log was cut in it.

        `data` is a part of the file, from `start` on.
        """
        chain, offset, size = segment.chain, segment.end, READ_BYTES
        start, data = offset, segment.read_part(offset, size)
        while offset < segment.size:
            try:
                payload, term, count, first, chain, end = self.decode(data, offset - start, chain)
            except record.BadRecord as error:
                if start + len(data) < segment.size:
                    # the record may be whole in the file
                    size = READ_BYTES if offset > start else 2 * size
                    start, data = offset, segment.read_part(offset, size)
                    continue
                lost = bool(later) or segment.loses_records(offset, data, offset - start)
                self._on_damage(segment.path, offset, error, lost)
                self._unlink(later)
                segment.truncate(offset)
                return True
            end += start
            last = first + count - 1
            spans_start = segment.last < self.start[0] < last
            if spans_start or self._is_other_history(last, chain):
                self._discard_all()
                return True
            segment.add_replayed(first, count, offset, end)
            offset = end
            if segment.last > self.start[0]:
                self.last, self.term, self.chain = segment.last, term, chain
                yield payload
        return False

    def _is_other_history(self, last: int, chain: int) -> bool:
        """Whether this record ends where the snapshot ends, but with another chain."""
        return self.start[0] > 0 and last == self.start[0] and chain != self.start[2]

    def _discard_all(self) -> None:
        """Remove this node's log: a leader's snapshot replaces it, but the node died too early."""
        self.log_line("removed the log of a history that the snapshot has replaced")
        for segment in self.segments:
            segment.close()
        self.segments = []
        self.remove()

    def _on_damage(self, path: str, offset: int, problem: object, loses_records: bool) -> None:
        """Raise StartError, or call `repair`, if more than an incomplete record is lost."""
        if not loses_records:
            return
        if self.repair is None:
            raise StartError(
                f"{path} is damaged at offset {offset}: {problem}; the log does not end there. "
                f"Start with --repair to keep the writes up to index {self.last} "
                "and lose all later ones"
            )
        self.repair(
            f"repair: cut {path} at offset {offset} ({problem}); "
            f"writes after index {self.last} are lost"
        )

    def _remove_last_segment(self, later: list[str]) -> None:
        """Remove the last segment and the files after it."""
        segment = self.segments.pop()
        segment.close()
        self._unlink([segment.path, *later])

    def _unlink(self, paths: list[str]) -> None:
        for path in paths:
            posix.unlink(path)

    # -- writing ---------------------------------------------------------------------------------

    @property
    def reserved_bytes(self) -> int:
        """Bytes that can be written before more must be reserved."""
        return self.segments[-1].reserved_bytes if self.segments else 0

    @property
    def bytes_kept(self) -> int:
        """Bytes of records in all segments."""
        return sum(segment.end for segment in self.segments)

    def reserve(self, size: int) -> None:
        """Reserve `size` bytes. Raises OSError when the disk is full; nothing is lost then."""
        if not self.segments:
            self.roll()
        self.segments[-1].reserve(size, zeros=self.sync_always)

    def append(self, packed: bytes, last: int, term: int, chain: int) -> None:
        """Write a record; space for it must be reserved. Raises OSError."""
        self.segments[-1].append(packed, last)
        self.last, self.term, self.chain = last, term, chain

    def sync(self) -> None:
        """Wait until everything appended is on disk. Raises OSError."""
        if self.segments and self.sync_always:
            self.segments[-1].sync()
        elif self.segments:
            posix.fdatasync(self.segments[-1].fd)

    def roll(self) -> None:
        """Seal the last segment and begin a new segment. Raises OSError."""
        if self.segments:
            if self.segments[-1].first == self.last + 1:
                return
            self.segments[-1].seal()
            if self.sync_always:
                self.sync()
        self.segments.append(Segment.create(self.folder, self.last + 1, self.term, self.chain))
        if self.sync_always:
            # the header is on the disk before the first record
            self.sync()
            sync_folder(self.folder)

    def detach_segments_up_to(self, index: int) -> list[Segment]:
        """Return the segments without a command after `index`.

        The caller closes and removes them.
        """
        detached = []
        while len(self.segments) > 1 and self.segments[1].first <= index + 1:
            detached.append(self.segments.pop(0))
        return detached

    def close(self) -> None:
        """Release reserved space, sync, and close the files. Raises OSError."""
        if not self.segments:
            return
        for segment in self.segments:
            segment.seal()
        self.sync()
        for segment in self.segments:
            segment.close()
        self.segments = []

    # -- discarding ------------------------------------------------------------------------------

    def describe_from(self, position: "Position") -> list[str]:
        """Return a line for each command from (segment, offset) on: index, command, key."""
        lines: list[str] = []
        segment: Segment | None
        segment, offset = position
        while segment is not None:
            while data := segment.read(offset):
                offset += len(data)
                start = 0
                while start < len(data):
                    payload, _, _, first, _, start = record.decode(data, start, None)
                    lines += record.describe_commands(payload, first)
            segment, offset = self.segment_after(segment), RECORDS_AT
        return lines

    def truncate(self, position: "Position") -> None:
        """Remove everything from (segment, offset) on. The log must be opened again afterwards."""
        segment, offset = position
        for later in self.segments[: self.segments.index(segment) : -1]:
            self.segments.remove(later)
            later.close()
            posix.unlink(later.path)
        segment.truncate(offset)
        sync_folder(self.folder)

    def remove(self) -> None:
        """Remove every file of a closed log."""
        for name in posix.listdir(self.folder):
            if name.startswith(PREFIX):
                remove_file(f"{self.folder}/{name}")

    # -- reading, for followers ------------------------------------------------------------------

    def find(self, index: int, chain: int) -> "Position | None":
        """Return (segment, offset) after the record with this last index and chain, or None."""
        if (index, chain) == (self.last, self.chain) and self.segments:
            return self.segments[-1], self.segments[-1].end
        for segment in reversed(self.segments):
            if segment.first - 1 <= index:
                offset = segment.find(index, chain)
                return None if offset is None else (segment, offset)
        return None

    def segment_after(self, segment: Segment) -> Segment | None:
        """Return the segment after this segment, or None."""
        later = [other for other in self.segments if other.first > segment.first]
        return later[0] if later else None

    def record_ends(self, limit: int) -> list[tuple[int, int]]:
        """Return up to `limit` (index, chain) of the ends of records, newest first."""
        ends: list[tuple[int, int]] = []
        for segment in reversed(self.segments):
            own, offset, data = [], RECORDS_AT, segment.read_all()
            while offset < segment.end:
                size, _, count, first, chain = record.read_header(data, offset)
                offset += size
                own.append((first + count - 1, chain))
            ends += [*own[::-1], (segment.first - 1, segment.chain)]
            if len(ends) >= limit:
                break
        return list(dict.fromkeys(ends))[:limit]


def read_bytes(path: str) -> bytes:
    """Return the contents of a file."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(fd, posix.fstat(fd).st_size)
    finally:
        posix.close(fd)


def remove_file(path: str) -> None:
    """Remove a file, if it exists."""
    try:
        posix.unlink(path)
    except FileNotFoundError:
        return


def sync_folder(folder: str) -> None:
    """Make new and renamed files of a folder durable. Raises OSError."""
    fd = posix.open(folder, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        posix.fsync(fd)
    finally:
        posix.close(fd)
