"""The state of one node: a dictionary in memory, and the files from which a restart restores it.

Writes are applied at once and gathered. `commit` makes all gathered writes durable in one record;
only after that may their replies leave. Does not know roles, sockets or replies.

The interface is small (`get`, `get_all`, `put`, `put_all`, `delete`, `apply_record`, `commit`,
`digest`, `len`, `close`), so another engine, or a broken engine, is a subclass with one method
overridden. An engine that overrides `get` or `put` should override `get_all` or `put_all` as well.
Other places to override: `replay`, `write`, `sync`, `log_class` (its `decode`), `snapshot_program`.
"""

import posix
import sys

from kvstore import record, snapshot
from kvstore.errors import DiskFullError, StartError
from kvstore.log import RecordLog, remove_file, sync_folder
from kvstore.segment import DISK_FULL_ERRNOS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from kvstore.interfaces import LogLine
    from kvstore.lazy_state import LazyState
    from kvstore.segment import Segment

# when so much is gathered, a record is written in the middle of a turn
RECORD_BYTES_MAX = 1 << 20
RECORD_OVERHEAD = record.HEADER_SIZE + 64
# a shorter log needs no snapshot
SNAPSHOT_AFTER_BYTES = 16 << 20
# STATUS computes no digest of more keys; DIGEST does
DIGEST_KEYS_MAX = 10_000
# a snapshot of more keys is not decoded before the node listens
KEYS_AT_ONCE_MAX = DIGEST_KEYS_MAX


class Engine:
    """Keys and values, as bytes. Not thread-safe: one loop owns it.

    `data`: the state, a dictionary. After a start with a large snapshot it is a LazyState until
    `load_more` has returned False, and any use of it may raise UnreadableFileError. `pending`: the
    encoded commands of the next record. `reserved`: log bytes that are reserved and not used by
    `pending`. `snapshot_process`: (pid, index, output path) of a running snapshot. `on_record`:
    called with (record, its last index) of every record written, before it is synced.
    """

    log_class = RecordLog
    snapshot_program = __file__.rpartition("/")[0] + "/snapshot_writer.py"

    def __init__(
        self,
        folder: str,
        fsync: str = "never",
        repair: "LogLine | None" = None,
        log_line: "LogLine" = lambda text: None,
        snapshot_after: int = SNAPSHOT_AFTER_BYTES,
    ) -> None:
        self.folder = folder
        self.fsync = fsync
        self.repair = repair
        self.log_line = log_line
        self.snapshot_after = snapshot_after
        self.data: dict[bytes, bytes] | LazyState = {}
        self.pending: list[bytes] = []
        self.pending_count = 0
        self.reserved = 0
        self.unsynced = False
        self.syncing = False
        self.sync_error: OSError | None = None
        self.snapshot_process: tuple[int, int, str] | None = None
        # whether a thread is removing the files that a snapshot has replaced
        self.removing = False
        self.on_record: Callable[[bytes, int], object] | None = None
        # (applied index, digest)
        self._digest: tuple[int | None, str] = (None, "")
        self.load()

    # -- restoring the state ---------------------------------------------------------------------

    def load(self) -> None:
        """Read the state from the files; raises StartError, OSError."""
        index, term, chain = self._load_snapshot()
        self.snapshot_index = index
        self.snapshot_bytes = file_size(snapshot.path_of(self.folder, index))
        if index and self.fsync == "always":
            # its name is on the disk before what it replaces is removed
            sync_folder(self.folder)
        snapshot.remove_others(self.folder, index)
        self.log = self.log_class(
            self.folder, (index, term, chain), self.fsync == "always", self.repair, self.log_line
        )
        for payload in self.log.replay():
            self.apply(payload, self.log.last)
        if self.fsync == "always":
            # what was read may not have reached the disk before the node ended
            self.log.sync()
        self.durable = self.log.last
        self.reserved = 0

    def _load_snapshot(self) -> tuple[int, int, int]:
        """Set `data` from the newest snapshot; return its (index, term, chain), or zeros."""
        self._close_state()
        self.data = {}
        file = snapshot.open_newest(self.folder)
        if file is None:
            return 0, 0, 0
        if file.keys > KEYS_AT_ONCE_MAX:
            from kvstore.lazy_state import LazyState

            self.data = LazyState(file)
        else:
            self.data = file.read_all()
            file.close()
        return file.index, file.term, file.chain

    def load_more(self) -> bool:
        """Decode a little more of the snapshot; return whether some is left. Raises OSError."""
        if isinstance(self.data, dict):
            return False
        if self.data.decode_next():
            return True
        self._load_rest()
        return False

    def _load_rest(self) -> dict[bytes, bytes]:
        """Decode what is left of the snapshot; return the state. Raises OSError."""
        if not isinstance(self.data, dict):
            data = self.data.decode_all()
            self._close_state()
            self.data = data
        return self.data

    def _close_state(self) -> None:
        if not isinstance(self.data, dict):
            self.data.close()

    def apply(self, payload: bytes, last: int) -> None:
        """Apply one record of the log or of a leader; `last` is the index of its last command."""
        self.replay(payload)

    def replay(self, payload: bytes) -> None:
        """Apply one record's commands to the state."""
        pairs = record.decode_pairs(payload)
        if pairs is not None:
            self.data.update(pairs)
            return
        for key, value in record.decode_commands(payload):
            if value is None:
                self.data.pop(key, None)
            else:
                self.data[key] = value

    # -- the state -------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self.data)

    @property
    def applied(self) -> int:
        """Index of the last command in the state; 0 for an empty history."""
        return self.log.last + self.pending_count

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None."""
        return self.data.get(key)

    def get_all(self, keys: "Sequence[bytes]") -> list[bytes | None]:
        """Return the values of many keys, None for a key that does not exist."""
        get: Callable[[bytes], bytes | None] = self.data.get
        return list(map(get, keys))

    def put(self, key: bytes, value: bytes) -> None:
        """Set a key. It is durable after the next commit.

        Raises DiskFullError, nothing is changed then; and OSError.
        """
        command = record.encode_set(key, value)
        self.reserve(len(command))
        self.data[key] = value
        self.gather(command)

    def put_all(self, keys: "Sequence[bytes]", values: "Sequence[bytes]", commands: bytes) -> None:
        """Set many keys; `commands` is their encoding. As `put` otherwise."""
        size = len(commands)
        if size > self.reserved:
            self.reserve(size)
        # equal lengths by construction; `strict` takes time
        self.data.update(zip(keys, values))  # noqa: B905
        self.reserved -= size
        self.pending.append(commands)
        self.pending_count += len(keys)

    def delete(self, key: bytes) -> bool:
        """Remove a key; return whether it existed. As `put` otherwise."""
        if key not in self.data:
            return False
        command = record.encode_delete(key)
        self.reserve(len(command))
        del self.data[key]
        self.gather(command)
        return True

    def open_term(self, term: int) -> None:
        """Begin a new term with a no-op command. Raises DiskFullError, OSError."""
        self.write_pending()
        self.reserve(len(record.NO_OP))
        self.log.term = term
        self.gather(record.NO_OP)

    def gather(self, command: bytes) -> None:
        """Keep one encoded command for the next commit."""
        self.reserved -= len(command)
        self.pending.append(command)
        self.pending_count += 1

    def reserve(self, size: int) -> None:
        """Reserve log space for `size` more bytes; raises DiskFullError, OSError."""
        if size <= self.reserved:
            return
        self.write_pending()
        try:
            self.log.reserve(size + RECORD_OVERHEAD)
        except OSError as error:
            if error.errno not in DISK_FULL_ERRNOS:
                raise
            raise DiskFullError(f"disk full: {error.strerror}; nothing was written") from error
        available = min(self.log.reserved_bytes - RECORD_OVERHEAD, RECORD_BYTES_MAX)
        self.reserved = max(size, available)

    # -- the log ---------------------------------------------------------------------------------

    def write_pending(self) -> None:
        """Append the gathered commands to the log as one record, not synced. Raises OSError."""
        if not self.pending:
            return
        payload = self.pending[0] if len(self.pending) == 1 else b"".join(self.pending)
        log, count = self.log, self.pending_count
        packed, chain = record.encode(payload, log.term, count, log.last + 1, log.chain)
        self.pending, self.pending_count, self.reserved = [], 0, 0
        self.write(packed, log.last + count, log.term, chain)

    def write(self, packed: bytes, last: int, term: int, chain: int) -> None:
        """Append one record, for which space is reserved, and call `on_record`."""
        self.log.append(packed, last, term, chain)
        self.unsynced = True
        self.reserved = min(self.log.reserved_bytes - RECORD_OVERHEAD, RECORD_BYTES_MAX)
        if self.on_record is not None:
            self.on_record(packed, last)

    def apply_record(self, packed: bytes) -> None:
        """Append and apply a leader's record, which must follow the last record.

        Raises BadRecord, DiskFullError, OSError.
        """
        payload, term, count, first, chain, end = record.decode(packed, 0, self.log.chain)
        if first != self.log.last + 1 or end != len(packed):
            raise record.BadRecord(f"index {first} where {self.log.last + 1} is expected")
        self.reserved = 0
        self.reserve(len(packed))
        last = first + count - 1
        self.apply(payload, last)
        self.write(packed, last, term, chain)

    def commit(self) -> None:
        """Make every write so far as durable as `fsync` requires.

        Raises OSError: then none of them may be acknowledged.
        """
        if self.pending:
            self.write_pending()
        if self.unsynced:
            if self.fsync == "always":
                self.sync()
            else:
                self.durable = self.log.last

    def sync(self) -> None:
        """Wait for the disk. Raises OSError."""
        self.log.sync()
        self.unsynced = False
        self.durable = self.log.last

    def tick(self) -> None:
        """Once a second: sync in the background if required, and shorten the log.

        Raises OSError.
        """
        if self.sync_error is not None:
            raise self.sync_error
        if self.fsync == "interval" and self.unsynced and not self.syncing:
            self.unsynced = False
            self._sync_in_background()
        self._check_snapshot()

    def _sync_in_background(self) -> None:
        from _thread import start_new_thread

        self.syncing = True
        start_new_thread(self._sync_in_thread, (posix.dup(self.log.segments[-1].fd),))

    def _sync_in_thread(self, fd: int) -> None:
        try:
            posix.fdatasync(fd)
        except OSError as error:
            self.sync_error = error
        finally:
            posix.close(fd)
            self.syncing = False

    # -- snapshots -------------------------------------------------------------------------------

    def _check_snapshot(self) -> None:
        if self.snapshot_process is not None:
            self._reap_snapshot_process(*self.snapshot_process)
            return
        too_long = self.log.bytes_kept > max(self.snapshot_after, self.snapshot_bytes)
        if too_long and not self.removing:
            self.start_snapshot()

    def start_snapshot(self) -> None:
        """Seal the log and start a process that writes a snapshot of it. Raises OSError."""
        if self.seal_log():
            self.spawn_snapshot(self.log.last)

    def seal_log(self) -> bool:
        """Begin a new segment; return whether the disk had space for it. Raises OSError."""
        self.write_pending()
        if self.fsync == "interval" and self.unsynced:
            self._sync_in_background()
        try:
            self.log.roll()
        except OSError as error:
            self.log_line(f"no snapshot: {error.strerror}")
            return False
        self.reserved = 0
        return True

    def spawn_snapshot(self, index: int) -> None:
        """Start a process that writes a snapshot up to `index`, the end of a segment."""
        output = f"{snapshot.path_of(self.folder, index)}.new"
        argv = [sys.executable, "-I", "-S", self.snapshot_program, self.folder, str(index), output]
        self.snapshot_process = (posix.posix_spawn(argv[0], argv, posix.environ), index, output)

    def _reap_snapshot_process(self, pid: int, index: int, output: str) -> None:
        ended, status = posix.waitpid(pid, posix.WNOHANG)
        if not ended:
            return
        self.snapshot_process = None
        if status:
            # try again when the log is twice as long, not every second
            self.snapshot_bytes = self.log.bytes_kept
            self.log_line(f"the snapshot at index {index} failed; the log is kept")
            return
        self.adopt_snapshot(output, index)

    def adopt_snapshot(self, path: str, index: int) -> None:
        """Make a finished snapshot the current one. Raises OSError.

        A thread removes the files that it replaces, because removing large files is slow.
        """
        from _thread import start_new_thread

        replaced = snapshot.path_of(self.folder, self.snapshot_index)
        posix.rename(path, snapshot.path_of(self.folder, index))
        self.snapshot_index = index
        self.snapshot_bytes = file_size(snapshot.path_of(self.folder, index))
        self.log_line(f"snapshot at index {index}: {self.snapshot_bytes} bytes")
        self.removing = True
        segments = self.log.detach_segments_up_to(index)
        start_new_thread(self._remove_replaced, (replaced, segments))

    def _remove_replaced(self, replaced: str, segments: "list[Segment]") -> None:
        try:
            sync_folder(self.folder)
            remove_file(replaced)
            for segment in segments:
                segment.close()
                remove_file(segment.path)
        except OSError as error:
            # the next start removes them
            self.log_line(f"old files are left: {error.strerror}")
        finally:
            self.removing = False

    # -- another history -------------------------------------------------------------------------

    def rewind(self, index: int, chain: int) -> list[str]:
        """Go back to the end of a record of this log; return lines that list what is discarded.

        Raises ValueError if no record ends with this index and chain; StartError, OSError.
        """
        self.commit()
        position = self.log.find(index, chain)
        if position is None and index == 0:
            return [self._discard_everything()]
        if position is None:
            raise ValueError(f"no record of this node ends at index {index} with chain {chain}")
        # its snapshot may hold what is discarded here
        self._kill_snapshot_process()
        discarded = self.log.describe_from(position)
        self.log.truncate(position)
        self._reload()
        return [
            f"discarded {len(discarded)} writes after index {index} that the leader does not have",
            *truncated(discarded),
        ]

    def _discard_everything(self) -> str:
        self._kill_snapshot_process()
        before = self.applied
        self.log.close()
        self.log.remove()
        self._reload(-1)
        return (
            f"discarded everything, a history that ended at index {before}: "
            "the leader has another history"
        )

    def install_snapshot(self, path: str) -> str:
        """Replace everything with a received snapshot; return a line that reports it.

        Raises StartError, OSError.
        """
        self._kill_snapshot_process()
        try:
            received = snapshot.SnapshotFile(path)
        except snapshot.BadSnapshot as error:
            raise StartError(f"the snapshot received is damaged: {error}") from error
        received.close()
        before, index = self.applied, received.index
        self.commit()
        self.log.close()
        posix.rename(path, snapshot.path_of(self.folder, index))
        # before the log that it replaces is removed
        sync_folder(self.folder)
        self.log.remove()
        self._reload(index)
        return (
            f"took the leader's snapshot at index {index} "
            f"in place of a history that ended at {before}"
        )

    def _reload(self, snapshot_index: int | None = None) -> None:
        self.log.close()
        self.unsynced = False
        if snapshot_index is not None:
            snapshot.remove_others(self.folder, snapshot_index)
        self.load()
        self._load_rest()
        self._digest = (None, "")

    # -- comparing and closing -------------------------------------------------------------------

    def digest(self, keys_max: int | None = None) -> str | None:
        """Return 16 hex digits that depend on every key and value, and on nothing else.

        Cached until the next write. None if there are more keys than `keys_max` and no digest is
        cached.
        """
        if self._digest[0] != self.applied:
            if keys_max is not None and len(self.data) > keys_max:
                return None
            self._digest = (self.applied, digest_of(self._load_rest()))
        return self._digest[1]

    def close(self) -> None:
        """Commit, close the log, and stop a snapshot that is being written. Raises OSError."""
        self._kill_snapshot_process()
        self.commit()
        self.log.close()
        self._close_state()

    def _kill_snapshot_process(self) -> None:
        if self.snapshot_process is not None:
            pid, _, _ = self.snapshot_process
            posix.kill(pid, 9)
            posix.waitpid(pid, 0)
            self.snapshot_process = None
            snapshot.remove_others(self.folder, self.snapshot_index)


def digest_of(data: dict[bytes, bytes]) -> str:
    """Return 16 hex digits for a state: BLAKE2b over the sorted items, each with its lengths."""
    from _blake2 import blake2b

    digest = blake2b(digest_size=8)
    for key in sorted(data):
        value = data[key]
        digest.update(b"%d %d %b%b" % (len(key), len(value), key, value))
    return digest.hexdigest()


def truncated(lines: list[str], limit: int = 1000) -> list[str]:
    """Return the lines, or the first `limit` and how many more there are."""
    return lines if len(lines) <= limit else [*lines[:limit], f"and {len(lines) - limit} more"]


def file_size(path: str) -> int:
    """Return a file's size, 0 if it does not exist."""
    try:
        return posix.stat(path).st_size
    except FileNotFoundError:
        return 0
