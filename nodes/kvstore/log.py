"""The append-only log of one node: segments, one after the other. Knows the order of records; knows nothing of keys.

`append` returns when the operating system has the bytes, so they survive a SIGKILL; `sync` when the disk has
them.
"""

import posix

from kvstore import record
from kvstore.errors import StartError
from kvstore.segment import HEADER, BadSegment, Segment

PREFIX = "log-"


class Log:
    """Records in order. `start` is (index, epoch, chain) of what a snapshot holds already, (0, 0, 0) for nothing."""

    decode = staticmethod(record.decode)

    def __init__(self, folder, start=(0, 0, 0), sync_always=False, repair=None, say=lambda text: None):
        self.folder = folder
        self.sync_always = sync_always
        self.repair = repair
        self.say = say
        self.last, self.epoch, self.chain = start
        self.start = start
        self.segments = []

    # -- coming back -----------------------------------------------------------------------------------------

    def replay(self):
        """Yield the payload of every record behind `start`; then the log can be written.

        What a crash left unfinished at the very end is cut. Raises StartError, naming file and offset, when something
        before the end is damaged and `repair` is None; otherwise cuts there and calls `repair` with what is lost.
        """
        paths = self._paths()
        for number, path in enumerate(paths):
            later = paths[number + 1 :]
            try:
                segment = Segment.open(path)
            except BadSegment as error:
                self._damaged(path, 0, error, later or whole_record_behind(bytes_of(path), 0))
                self._unlink([path, *later])
                return
            self.segments.append(segment)
            if not self._follows(segment) and len(self.segments) == 1 and self.start[0]:
                self._discard_all()
                return
            if not self._follows(segment):
                self._damaged(
                    path, 0, f"it begins with index {segment.first}, {self.last + 1} is due", [path]
                )
                self._forget(later)
                return
            if (yield from self._replay_one(segment, later)):
                break
        if self.segments and self.segments[-1].last < self.start[0]:
            self._forget([])  # the snapshot knows more than the log: begin a new one behind it

    def _paths(self):
        """Return the paths of the segments, oldest first; those a snapshot has replaced are removed."""
        firsts = sorted(
            int(name[len(PREFIX) :]) for name in posix.listdir(self.folder) if name.startswith(PREFIX)
        )
        paths = [f"{self.folder}/{PREFIX}{first:016d}" for first in firsts]
        while len(firsts) > 1 and firsts[1] <= self.start[0] + 1:
            firsts.pop(0)
            posix.unlink(paths.pop(0))
        return paths

    def _follows(self, segment):
        if segment.first - 1 == self.last:
            return segment.chain == self.chain
        return len(self.segments) == 1 and segment.first - 1 < self.last

    def _replay_one(self, segment, later):
        """Yield what one segment holds; return whether the log was cut in it."""
        data, chain, at = segment.read_all(), segment.chain, segment.end
        while at < len(data):
            try:
                payload, epoch, count, first, chain, after = self.decode(data, at, chain)
            except record.BadRecord as error:
                self._damaged(segment.path, at, error, later or whole_record_behind(data, at))
                self._unlink(later)
                segment.cut(at)
                return True
            if segment.last < self.start[0] < first + count - 1 or self._is_other_history(
                first + count - 1, chain
            ):
                self._discard_all()
                return True
            segment.passed(first, count, at, after)
            at = after
            if segment.last > self.start[0]:
                self.last, self.epoch, self.chain = segment.last, epoch, chain
                yield payload
        return False

    def _is_other_history(self, last, chain):
        """Whether this record ends where the snapshot ends, but is not what the snapshot has there."""
        return self.start[0] > 0 and last == self.start[0] and chain != self.start[2]

    def _discard_all(self):
        """The snapshot came from a leader and the node died before it had removed its own log: do that now."""
        self.say("removed the log of a history that the snapshot has replaced")
        for segment in self.segments:
            segment.close()
        self.segments = []
        self.remove()

    def _damaged(self, path, offset, error, lost):
        """Refuse to start, or say what a repair loses, when more than an unfinished tail would be lost."""
        if not lost:
            return
        if self.repair is None:
            raise StartError(
                f"{path} is damaged at offset {offset}: {error}; there is more behind it. "
                f"Start with --repair to keep the writes up to index {self.last} and lose all later ones"
            )
        self.repair(
            f"repair: cut {path} at offset {offset} ({error}); writes after index {self.last} are lost"
        )

    def _forget(self, later):
        """Remove the newest segment and the files behind it."""
        segment = self.segments.pop()
        segment.close()
        self._unlink([segment.path, *later])

    def _unlink(self, paths):
        for path in paths:
            posix.unlink(path)

    # -- writing ---------------------------------------------------------------------------------------------

    @property
    def room(self):
        """Bytes that can be written before more has to be reserved."""
        return self.segments[-1].room if self.segments else 0

    @property
    def bytes_kept(self):
        """Bytes of records in all segments."""
        return sum(segment.end for segment in self.segments)

    def reserve(self, size):
        """Make room for `size` bytes. Raises OSError when the disk is full; nothing is lost then."""
        if not self.segments:
            self.roll()
        self.segments[-1].reserve(size, zeros=self.sync_always)

    def append(self, packed, last, epoch, chain):
        """Write records that follow the last one; room for them must be reserved. Raises OSError."""
        self.segments[-1].append(packed, last)
        self.last, self.epoch, self.chain = last, epoch, chain

    def sync(self):
        """Wait until everything appended is on disk. Raises OSError."""
        if self.segments:
            posix.fdatasync(self.segments[-1].fd)

    def roll(self):
        """Begin a new segment; what was written is sealed. Raises OSError."""
        if self.segments:
            if self.segments[-1].first == self.last + 1:
                return
            self.segments[-1].seal()
            if self.sync_always:
                self.sync()
        self.segments.append(Segment.create(self.folder, self.last + 1, self.epoch, self.chain))
        if self.sync_always:
            sync_folder(self.folder)

    def let_go_before(self, index):
        """Forget the segments that hold nothing behind `index`; return them, for the caller to close and remove."""
        gone = []
        while len(self.segments) > 1 and self.segments[1].first <= index + 1:
            gone.append(self.segments.pop(0))
        return gone

    def close(self):
        """Give back reserved room, sync and close the files."""
        if not self.segments:
            return
        for segment in self.segments:
            segment.seal()
        self.sync()
        for segment in self.segments:
            segment.close()
        self.segments = []

    # -- going back -------------------------------------------------------------------------------------

    def told(self, place):
        """Return a line for each command from (segment, offset) on: its index, what it did, its key."""
        lines, (segment, offset) = [], place
        while segment is not None:
            while data := segment.read(offset):
                offset += len(data)
                at = 0
                while at < len(data):
                    payload, _, _, first, _, at = record.decode(data, at, None)
                    lines += record.told(payload, first)
            segment, offset = self.after(segment), HEADER.size
        return lines

    def cut(self, place):
        """Remove everything from (segment, offset) on; the log has to be opened anew afterwards."""
        segment, offset = place
        for later in self.segments[: self.segments.index(segment) : -1]:
            self.segments.remove(later)
            later.close()
            posix.unlink(later.path)
        segment.cut(offset)
        sync_folder(self.folder)

    def remove(self):
        """Remove every file of a closed log."""
        for name in posix.listdir(self.folder):
            if name.startswith(PREFIX):
                remove_file(f"{self.folder}/{name}")

    # -- reading back, for followers -------------------------------------------------------------------------

    def find(self, index, chain):
        """Return (segment, offset) of what follows the record that ends with this index and chain; None if not here."""
        if (index, chain) == (self.last, self.chain) and self.segments:
            return self.segments[-1], self.segments[-1].end
        for segment in reversed(self.segments):
            if segment.first - 1 <= index:
                offset = segment.find(index, chain)
                return None if offset is None else (segment, offset)
        return None

    def after(self, segment):
        """Return the segment that follows this one, or None."""
        later = [other for other in self.segments if other.first > segment.first]
        return later[0] if later else None

    def ends(self, most):
        """Return up to `most` (index, chain) at which records end, newest first: what a leader compares with its own."""
        found = []
        for segment in reversed(self.segments):
            mine, at, data = [], HEADER.size, segment.read_all()
            while at < segment.end:
                size, _, count, first, chain = record.read_header(data, at)
                at += size
                mine.append((first + count - 1, chain))
            found += [*mine[::-1], (segment.first - 1, segment.chain)]
            if len(found) >= most:
                break
        return list(dict.fromkeys(found))[:most]


def whole_record_behind(data, at):
    """Return the offset of a whole record somewhere behind `at`, or 0."""
    at = data.find(record.MAGIC, at + 1)
    while at >= 0:
        try:
            record.decode(data, at, None)
        except record.BadRecord:
            at = data.find(record.MAGIC, at + 1)
        else:
            return at
    return 0


def bytes_of(path):
    """Return what a file holds."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(fd, posix.fstat(fd).st_size)
    finally:
        posix.close(fd)


def remove_file(path):
    """Remove a file, if it is still there."""
    try:
        posix.unlink(path)
    except FileNotFoundError:
        return


def sync_folder(folder):
    """Make new and renamed files of a folder durable."""
    fd = posix.open(folder, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        posix.fsync(fd)
    finally:
        posix.close(fd)
