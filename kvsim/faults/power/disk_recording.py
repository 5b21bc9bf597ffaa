"""The record of one node and its data directory: what the node wrote, and what a power cut leaves.

`preparing` stands around what kvsim itself writes before a node starts, which counts as synced.
`settle` reads the record of a node that is down, and compares it with the real files: what they
hold and the record does not explain was written in a way that the library cannot follow.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from kvsim.data_directory import write_file
from kvsim.faults.power.disk_model import (
    Change,
    DiskModel,
    DiskState,
    File,
    changed_part,
    common_prefix,
)
from kvsim.faults.power.followed import is_clean, is_dirty, write_unsynced
from kvsim.faults.power.recorded_calls import Kind, RecordedCall, RecordFiles
from kvsim.text import plural

# A larger directory is not followed: its content is held in memory.
BYTES_MAX = 256 << 20


@dataclass
class DiskRecording:
    """The record of one node. `folder`: where its processes record.

    With `keep_calls`, `calls` are all calls since the last power cut, for those who go through the
    moments of a run. `start`: what was there before the first one, by path: inode and content.
    `own_calls`: the name of code in the node that calls the kernel by itself; "": none is known.
    """

    folder: Path
    data_dir: Path
    owner: int | None = None
    disk: DiskModel | None = None
    keep_calls: bool = False
    calls: list[RecordedCall] = field(default_factory=list)
    start: dict[str, tuple[int, bytes | None]] = field(default_factory=dict)
    own_calls: str = ""
    _files: RecordFiles = field(init=False)
    _last: int = 0
    # The inode of the directory, and its path. They are needed when it is gone.
    _root: tuple[int, str] = (0, "")

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        if self.owner is not None:
            os.chown(self.folder, self.owner, -1)
        self._files = RecordFiles(self.folder)

    @contextlib.contextmanager
    def preparing(self) -> Iterator[None]:
        """What kvsim writes meanwhile into the data directory is as if it had been synced."""
        if self.disk is not None:
            self.settle()
        yield
        self._adopt()
        with contextlib.suppress(OSError):
            write_unsynced(self._unsynced)

    def settle(self) -> DiskModel:
        """What is on the disk of a node that is down. `not_followed` says why it is not known."""
        disk = self._known()
        for entry in self._files.read():
            for settled in self._settled(entry, disk) if entry.is_open else [entry]:
                self._last = max(self._last, settled.end)
                disk.apply(settled)
                if self.keep_calls:
                    self.calls.append(settled)
        self._compare(disk)
        return disk

    def find_unseen_syncs(self) -> None:
        """Find files that may be on the disk although no sync of them is known.

        The node must be down, and the record settled.
        """
        disk = self._known()
        found = [
            path
            for path, number in disk.paths().items()
            if disk.files[number].was_never_synced and not disk.files[number].written_early
        ]
        clean = [path for path in found if is_clean(self.data_dir / path)]
        if found and self.own_calls:
            disk.not_followed.append(
                f"no sync of {found[0]} was seen, but {self.own_calls} has instructions of its own "
                "that call the kernel"
            )
        elif clean and self._kernel_tells():
            disk.not_followed.append(
                f"the kernel has written {clean[0]} to the disk, and no sync of it was seen"
            )

    @property
    def _unsynced(self) -> Path:
        return self.folder.with_suffix(".unsynced")

    def _kernel_tells(self) -> bool:
        """Whether it can be relied on that the kernel writes no file before it is synced: it has
        not written that of kvsim, in the same file system, since the node started.
        """
        try:
            device = self._unsynced.stat().st_dev
        except OSError:
            return False
        return device == self.data_dir.stat().st_dev and is_dirty(self._unsynced)

    def put(self, state: DiskState) -> None:
        """Give the data directory this state. Raises OSError, NotInDirectory."""
        put_files(self.data_dir, state)
        self.disk = None
        self.calls = []
        self._adopt()

    def model_at_start(self) -> DiskModel:
        """What was on the disk before the first of `calls`."""
        disk = DiskModel(*self._root)
        for path, (inode, content) in sorted(self.start.items()):
            disk.adopt(path, inode, File(bytearray(content or b""), content is None))
        return disk

    # --- what was recorded, and what is there -------------------------------------------------

    def _known(self) -> DiskModel:
        if self.disk is None:
            self._root = self.data_dir.stat().st_ino, str(self.data_dir.resolve())
            self.disk = DiskModel(*self._root)
        return self.disk

    def _settled(self, entry: RecordedCall, disk: DiskModel) -> Iterator[RecordedCall]:
        """A call in which its process was killed, by what the files show of it."""
        done = replace(entry, end=max(self._last, entry.begin) + 1, result=0)
        if entry.kind in (Kind.CREATED, Kind.FOLDER_MADE):
            found = inode_of(entry.paths[0])
            if found:
                yield replace(done, file=found)
        elif entry.kind in (Kind.REMOVED, Kind.RENAMED):
            if not inode_of(entry.paths[0]):
                yield done
        elif entry.kind is Kind.LINKED:
            if inode_of(entry.paths[1]):
                yield done
        elif entry.kind in (Kind.WRITTEN, Kind.UNSEEN, Kind.RESIZED, Kind.ALLOCATED):
            yield from self._settled_bytes(done, disk)

    def _settled_bytes(self, entry: RecordedCall, disk: DiskModel) -> Iterator[RecordedCall]:
        """The bytes of an open write that the file has, or its new size."""
        found = scan(self.data_dir).items()
        path = next((path for path, status in found if status.st_ino == entry.file), None)
        if path is None:
            return
        real = (self.data_dir / path).read_bytes()
        known = disk.files[disk.number_of(entry.file)].content()
        if real == known:
            return
        if entry.kind is Kind.UNSEEN:
            data = real[entry.at :]
            yield replace(entry, kind=Kind.WRITTEN, data=data, result=len(data), flags=0)
        elif entry.kind is Kind.WRITTEN:
            # The kernel may have stopped in it.
            same = common_prefix(real[entry.at :], entry.data)
            if same:
                yield replace(entry, result=same, flags=0)
        elif len(real) != len(known):
            yield replace(entry, kind=Kind.RESIZED, length=len(real))

    def _compare(self, disk: DiskModel) -> None:
        """Find what the files hold and the record does not explain."""
        known = disk.now().files
        found = scan(self.data_dir)
        for path in sorted(known.keys() | found.keys()):
            status = found.get(path)
            if status is None:
                disk.not_followed.append(f"{path} is not there any more")
            elif not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                if not stat.S_ISSOCK(status.st_mode) and not stat.S_ISFIFO(status.st_mode):
                    disk.not_followed.append(f"{path} is neither a file nor a folder")
            elif path not in known:
                disk.not_followed.append(f"{path} was made in a way that it does not see")
            elif stat.S_ISREG(status.st_mode):
                self._compare_content(disk, path, status.st_ino, known[path] or b"")

    def _compare_content(self, disk: DiskModel, path: str, inode: int, known: bytes) -> None:
        real = (self.data_dir / path).read_bytes()
        if real == known:
            return
        file = disk.files[disk.number_of(inode)]
        if file.mapped and len(real) == len(known):
            # What a process stored in a map is written when the system likes.
            self._last += 1
            file.changes.append(Change(self._last, *changed_part(known, 0, real)))
            return
        at = common_prefix(real, known)
        disk.not_followed.append(
            f"{path} has other bytes from {at:,} on than were seen "
            f"({plural(len(real), 'byte')}, {len(known):,} seen)"
        )

    def _adopt(self) -> None:
        """What is there and not known, or differs, is as if it had been synced."""
        disk = self._known()
        known = disk.now().files
        total = 0
        found = scan(self.data_dir)
        for path, status in sorted(found.items()):
            total += status.st_size
            if total > BYTES_MAX:
                disk.not_followed.append(f"its data directory is larger than {BYTES_MAX >> 20} MiB")
                break
            is_folder = stat.S_ISDIR(status.st_mode)
            if not is_folder and not stat.S_ISREG(status.st_mode):
                continue
            content = b"" if is_folder else (self.data_dir / path).read_bytes()
            if path not in known or (not is_folder and known[path] != content):
                disk.adopt(path, status.st_ino, File(bytearray(content), is_folder))
        for path in known.keys() - found.keys():
            disk.forget(path)
        if self.keep_calls and not self.calls:
            content_of = disk.now().files
            self.start = {path: (found[path].st_ino, content_of[path]) for path in content_of}


def put_files(folder: Path, state: DiskState) -> None:
    """Give a folder exactly these files. Raises OSError, NotInDirectory."""
    found = scan(folder)
    for path in sorted(found.keys() - state.files.keys(), reverse=True):
        whole = folder / path
        if whole.is_dir() and not whole.is_symlink():
            shutil.rmtree(whole)
        else:
            whole.unlink(missing_ok=True)
    owner = folder.stat()
    for path, content in sorted(state.files.items()):
        whole = folder / path
        if content is None:
            whole.mkdir(exist_ok=True, mode=0o700)
            os.chown(whole, owner.st_uid, owner.st_gid)
        elif not (whole.is_file() and whole.read_bytes() == content):
            new_owner = None if path in found else (owner.st_uid, owner.st_gid)
            write_file(folder, path, content, new_owner)


def scan(folder: Path) -> dict[str, os.stat_result]:
    """Path below a folder → status of everything in it."""
    found: dict[str, os.stat_result] = {}
    waiting = [(folder, "")]
    while waiting:
        where, prefix = waiting.pop()
        with os.scandir(where) as entries:
            for entry in entries:
                path = f"{prefix}{entry.name}"
                found[path] = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((Path(entry.path), f"{path}/"))
    return found


def inode_of(path: str) -> int:
    """The inode of a path, 0 where there is none."""
    try:
        return os.lstat(path).st_ino
    except OSError:
        return 0
