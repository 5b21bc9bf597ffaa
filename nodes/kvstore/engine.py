"""The state of one node: a dictionary in memory, and the files from which it comes back after a restart.

The interface is small (get, get_all, put, put_all, delete, apply_record, commit, digest, len, close), so that
another engine, or a broken one, can take its place by overriding one method; what overrides `get` or `put`
should override `get_all` or `put_all` as well. Further seams: `replay`, `write`, `sync`, `log_class` (its `decode`),
`snapshot_program`.
Writes are applied at once and gathered; `commit` makes everything gathered durable in one record, and only then
may their replies leave. Knows nothing of roles, sockets or replies.
"""

import posix
import sys

from kvstore import record, snapshot
from kvstore.errors import DiskFullError, StartError
from kvstore.log import Log, remove_file, sync_folder
from kvstore.segment import NO_ROOM

RECORD_BYTES_MAX = 1 << 20  # what is gathered before a record is written in the middle of a turn
RECORD_ROOM = record.HEADER_SIZE + 64
SNAPSHOT_AFTER_BYTES = 16 << 20  # a log shorter than this needs no snapshot
DIGEST_KEYS_MAX = 10_000  # a larger state is digested when asked for by name, not for every STATUS


class Engine:
    """Keys and values as bytes. Not thread-safe: one loop owns it."""

    log_class = Log
    snapshot_program = __file__.rpartition("/")[0] + "/compact.py"

    def __init__(
        self, folder, fsync="never", repair=None, say=lambda text: None, snapshot_after=SNAPSHOT_AFTER_BYTES
    ):
        self.folder = folder
        self.fsync = fsync
        self.repair = repair
        self.say = say
        self.snapshot_after = snapshot_after
        self.data = {}
        self.pending = []
        self.pending_count = 0
        self.room = 0
        self.unsynced = False
        self.syncing = False
        self.sync_error = None
        self.compactor = None
        self.removing = False  # whether a thread is removing what a snapshot has replaced
        self.on_record = None  # called with every record written, (packed, last index), before it is synced
        self._digest = (None, "")
        self.load()

    # -- coming back -----------------------------------------------------------------------------------------

    def load(self):
        """Read the state from the files; raises StartError, OSError."""
        self.data, *start = snapshot.load(self.folder)
        self.snapshot_index = start[0]
        self.snapshot_bytes = file_size(snapshot.path_of(self.folder, start[0]))
        snapshot.tidy(self.folder, start[0])
        self.log = self.log_class(self.folder, tuple(start), self.fsync == "always", self.repair, self.say)
        for payload in self.log.replay():
            self.replay(payload)
        if self.fsync == "always":
            self.log.sync()  # what was read may not have reached the disk before the node ended
        self.durable = self.log.last
        self.room = 0

    def replay(self, payload):
        """Apply one record's commands to the state."""
        found = record.sets(payload)
        if found:
            self.data.update(zip(*found))  # noqa: B905  (equal lengths by construction; `strict` costs)
            return
        for key, value in record.commands(payload):
            if value is None:
                self.data.pop(key, None)
            else:
                self.data[key] = value

    # -- the state -------------------------------------------------------------------------------------------

    def __len__(self):
        return len(self.data)

    @property
    def applied(self):
        """Index of the last command the state shows; 0 for an empty history."""
        return self.log.last + self.pending_count

    def get(self, key):
        """Return the value, or None."""
        return self.data.get(key)

    def get_all(self, keys):
        """Return the values of many keys, None where there is none."""
        return list(map(self.data.get, keys))

    def put(self, key, value):
        """Set a key. Durable after the next commit; raises DiskFullError, nothing is changed then."""
        command = record.encode_set(key, value)
        self.make_room(len(command))
        self.data[key] = value
        self.gather(command)

    def put_all(self, keys, values, commands):
        """Set many keys; `commands` is their encoding. As `put` otherwise."""
        size = len(commands)
        if size > self.room:
            self.make_room(size)
        self.data.update(zip(keys, values))  # noqa: B905  (equal lengths by construction; `strict` costs)
        self.room -= size
        self.pending.append(commands)
        self.pending_count += len(keys)

    def delete(self, key):
        """Remove a key; return whether it was there. As `put` otherwise."""
        if key not in self.data:
            return False
        command = record.encode_delete(key)
        self.make_room(len(command))
        del self.data[key]
        self.gather(command)
        return True

    def open_epoch(self, epoch):
        """Begin a new epoch with a command of its own, which changes no key. Raises DiskFullError."""
        self.write_pending()
        self.make_room(len(record.MARK))
        self.log.epoch = epoch
        self.gather(record.MARK)

    def gather(self, command):
        """Keep one encoded command for the next commit."""
        self.room -= len(command)
        self.pending.append(command)
        self.pending_count += 1

    def make_room(self, size):
        """Reserve log room for `size` more bytes; raises DiskFullError when the disk has none."""
        if size <= self.room:
            return
        self.write_pending()
        try:
            self.log.reserve(size + RECORD_ROOM)
        except OSError as error:
            if error.errno not in NO_ROOM:
                raise
            raise DiskFullError(f"disk full: {error.strerror}; nothing was written") from error
        self.room = max(size, min(self.log.room - RECORD_ROOM, RECORD_BYTES_MAX))

    # -- the log ---------------------------------------------------------------------------------------------

    def write_pending(self):
        """Append what was gathered to the log as one record, not yet synced. Raises OSError."""
        if not self.pending:
            return
        payload = self.pending[0] if len(self.pending) == 1 else b"".join(self.pending)
        log, count = self.log, self.pending_count
        packed, chain = record.encode(payload, log.epoch, count, log.last + 1, log.chain)
        self.pending, self.pending_count, self.room = [], 0, 0
        self.write(packed, log.last + count, log.epoch, chain)

    def write(self, packed, last, epoch, chain):
        """Append one packed record, for which room is reserved, and show it to whoever copies the log."""
        self.log.append(packed, last, epoch, chain)
        self.unsynced = True
        self.room = min(self.log.room - RECORD_ROOM, RECORD_BYTES_MAX)
        if self.on_record is not None:
            self.on_record(packed, last)

    def apply_record(self, packed):
        """Append and apply a leader's record, which must follow the last one; raises BadRecord, DiskFullError, OSError."""
        payload, epoch, count, first, chain, after = record.decode(packed, 0, self.log.chain)
        if first != self.log.last + 1 or after != len(packed):
            raise record.BadRecord(f"index {first} where {self.log.last + 1} is due")
        self.room = 0
        self.make_room(len(packed))
        self.replay(payload)
        self.write(packed, first + count - 1, epoch, chain)

    def commit(self):
        """Make every write so far as durable as `fsync` asks for. Raises OSError: then nothing may be acknowledged."""
        if self.pending:
            self.write_pending()
        if self.unsynced:
            if self.fsync == "always":
                self.sync()
            else:
                self.durable = self.log.last

    def sync(self):
        """Wait for the disk. Raises OSError."""
        self.log.sync()
        self.unsynced = False
        self.durable = self.log.last

    def tick(self):
        """Once a second: sync in the background if asked for, and keep the log short. Raises OSError."""
        if self.sync_error is not None:
            raise self.sync_error
        if self.fsync == "interval" and self.unsynced and not self.syncing:
            self.unsynced = False
            self._sync_aside()
        self._look_after_compactor()

    def _sync_aside(self):
        from _thread import start_new_thread

        self.syncing = True
        start_new_thread(self._sync_in_thread, (posix.dup(self.log.segments[-1].fd),))

    def _sync_in_thread(self, fd):
        try:
            posix.fdatasync(fd)
        except OSError as error:
            self.sync_error = error
        finally:
            posix.close(fd)
            self.syncing = False

    # -- snapshots -------------------------------------------------------------------------------------------

    def _look_after_compactor(self):
        if self.compactor is not None:
            self._reap_compactor()
        elif not self.removing and self.log.bytes_kept > max(self.snapshot_after, self.snapshot_bytes):
            self.start_snapshot()

    def start_snapshot(self):
        """Seal the log and have a process of its own make a snapshot of it; the node goes on. Raises OSError."""
        self.write_pending()
        if self.fsync == "interval" and self.unsynced:
            self._sync_aside()
        try:
            self.log.roll()
        except OSError as error:
            self.say(f"no snapshot: {error.strerror}")
            return
        self.room = 0
        index = self.log.last
        output = f"{snapshot.path_of(self.folder, index)}.new"
        argv = [sys.executable, "-I", "-S", self.snapshot_program, self.folder, str(index), output]
        self.compactor = (posix.posix_spawn(argv[0], argv, {}), index, output)

    def _reap_compactor(self):
        pid, index, output = self.compactor
        done, status = posix.waitpid(pid, posix.WNOHANG)
        if not done:
            return
        self.compactor = None
        if status:
            self.snapshot_bytes = self.log.bytes_kept  # try again once the log has doubled, not every second
            self.say(f"the snapshot at index {index} failed; the log is kept")
            return
        self.adopt_snapshot(output, index)

    def adopt_snapshot(self, path, index):
        """Put a finished snapshot in place and let go what it replaces, aside: large files go slowly. Raises OSError."""
        from _thread import start_new_thread

        replaced = snapshot.path_of(self.folder, self.snapshot_index)
        posix.rename(path, snapshot.path_of(self.folder, index))
        self.snapshot_index = index
        self.snapshot_bytes = file_size(snapshot.path_of(self.folder, index))
        self.say(f"snapshot at index {index}: {self.snapshot_bytes} bytes")
        self.removing = True
        start_new_thread(self._remove_replaced, (replaced, self.log.let_go_before(index)))

    def _remove_replaced(self, replaced, segments):
        try:
            sync_folder(self.folder)
            remove_file(replaced)
            for segment in segments:
                segment.close()
                remove_file(segment.path)
        except OSError as error:
            self.say(f"old files are left: {error.strerror}")  # the next start removes them
        finally:
            self.removing = False

    # -- another history --------------------------------------------------------------------------------

    def rewind(self, index, chain):
        """Go back to a record's end in this node's own history; return lines that say exactly what is discarded.

        Raises ValueError when the history has no such place.
        """
        self.commit()
        place = self.log.find(index, chain)
        if place is None and index == 0:
            return self._start_over()
        if place is None:
            raise ValueError(f"no record of this node ends at index {index} with chain {chain}")
        self._stop_compactor()  # what it makes may hold what is discarded here
        said = self.log.told(place)
        self.log.cut(place)
        self._reload()
        return [
            f"discarded {len(said)} writes behind index {index} that the leader does not have",
            *shortened(said),
        ]

    def _start_over(self):
        self._stop_compactor()
        was = self.applied
        self.log.close()
        self.log.remove()
        self._reload(-1)
        return [f"discarded everything, a history that ended at index {was}: the leader has another one"]

    def install(self, path):
        """Take a received snapshot in place of everything; return lines that say so. Raises StartError, OSError."""
        self._stop_compactor()
        try:
            _, index, _, _ = snapshot.read_file(path)
        except snapshot.BadSnapshot as error:
            raise StartError(f"the snapshot received is damaged: {error}") from error
        was = self.applied
        self.commit()
        self.log.close()
        posix.rename(path, snapshot.path_of(self.folder, index))
        self.log.remove()
        self._reload(index)
        return [f"took the leader's snapshot at index {index} in place of a history that ended at {was}"]

    def _reload(self, snapshot_index=None):
        self.log.close()
        self.unsynced = False
        if snapshot_index is not None:
            snapshot.tidy(self.folder, snapshot_index)
        self.load()
        self._digest = (None, "")

    # -- comparing and ending --------------------------------------------------------------------------------

    def digest(self, keys_max=None):
        """Return 16 hex letters that depend on every key and value and on nothing else; cached until the next write.

        None when there are more keys than `keys_max` and no digest is at hand.
        """
        if self._digest[0] != self.applied:
            if keys_max is not None and len(self.data) > keys_max:
                return None
            self._digest = (self.applied, digest_of(self.data))
        return self._digest[1]

    def close(self):
        """Commit and close the log; stop a snapshot that is being made."""
        self._stop_compactor()
        self.commit()
        self.log.close()

    def _stop_compactor(self):
        if self.compactor is not None:
            posix.kill(self.compactor[0], 9)
            posix.waitpid(self.compactor[0], 0)
            self.compactor = None
            snapshot.tidy(self.folder, self.snapshot_index)


def digest_of(data):
    """Return 16 hex letters for a {key: value} of bytes: BLAKE2b over the sorted items, each with its lengths."""
    from _blake2 import blake2b

    total = blake2b(digest_size=8)
    for key in sorted(data):
        value = data[key]
        total.update(b"%d %d %b%b" % (len(key), len(value), key, value))
    return total.hexdigest()


def shortened(lines, most=1000):
    """Return the lines, or the first `most` and how many more there are."""
    return lines if len(lines) <= most else [*lines[:most], f"and {len(lines) - most} more"]


def file_size(path):
    """Return a file's size, 0 when there is none."""
    try:
        return posix.stat(path).st_size
    except FileNotFoundError:
        return 0
