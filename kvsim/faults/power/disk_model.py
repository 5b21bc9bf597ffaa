"""What may be on a disk: files and names, what of them was synced, and what was not. Pure.

A `DiskModel` is fed with the calls of a node, in the order in which they ended. It holds each file
as it was last synced, and the changes since, in order. `DiskState`s are what a power cut may leave.

Files. What was synced stays. Of the changes since, a disk may have none, all, the first ones, or
any, each write in sectors of 512 bytes (the unit that a disk writes whole: Pillai and others, "All
File Systems Are Not Created Equal", 2014, and CrashMonkey, Mohan and others, 2018). A sync covers
the changes that had ended when it began.

Names. Creating, renaming and removing are changes of folders. Two models:

- `posix`: they are on the disk when their folder was synced, and before in any selection (fsync(2):
  "does not necessarily ensure that the entry in the directory … has also reached disk").
- `ext4`: they are in one journal, in order, so that a disk has the first ones. Each commit takes
  all. A sync commits when it has something in the journal to wait for: fsync when the file was
  changed in any way (its times), fdatasync when the file is new or its size changed, a sync of a
  folder when names in it changed (Linux, fs/ext4/fsync.c: `ext4_fsync_journal`, `i_sync_tid` and
  `i_datasync_tid`; fs/jbd2).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from kvsim.faults.power.recorded_calls import FROM_MAP, SYNCS_ITSELF, RecordedCall

SECTOR_BYTES = 512
DEPTH_MAX = 64
MODELS = {
    "ext4": "names are in one journal, in order; a later sync that writes the journal keeps them",
    "posix": "a name is kept when its folder was synced, and else anything may be",
}
KEEPS = {
    "none": "nothing that was not synced",
    "all": "everything, as after a kill",
    "prefix": "the first changes of each file, in the order in which they were made, as many as "
    "the seed draws",
    "any": "each write or not, as the seed draws, and of a write any of its sectors",
}
# Bits of the mode of fallocate.
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, COLLAPSES = 1, 2, 16, 8 | 32


class Change(Struct, frozen=True):
    """A change of a file: bytes at an offset, or a new size. `end`: see RecordedCall.

    `size` is None for a write.
    """

    end: int
    at: int = 0
    data: bytes = b""
    size: int | None = None
    time_ns: int = 0

    @property
    def stop(self) -> int:
        return self.at + len(self.data)


class NameChange(Struct, frozen=True):
    """A change of names: of each (folder, name) the file that it means from now on; None: none.

    `file`: the file that it is about.
    """

    end: int
    names: tuple[tuple[int, str, int | None], ...]
    file: int
    created: bool = False
    verb: str = ""
    path: str = ""
    time_ns: int = 0

    def is_in(self, folder: int) -> bool:
        return any(where == folder for where, _, _ in self.names)


class File(Struct):
    """A file: its synced content, and what was changed since. A folder has none.

    `written_early`: the file system may write it by itself before long (ext4 does that to files
    that replace others or were cut: `auto_da_alloc` in its documentation).
    """

    synced: bytearray = field(default_factory=bytearray)
    is_folder: bool = False
    changes: list[Change] = field(default_factory=list)
    # When it was last synced, and how much of it there was then.
    synced_ns: int | None = None
    mapped: bool = False
    written_early: bool = False

    @property
    def was_never_synced(self) -> bool:
        """Whether bytes were written to it, and no sync of it is known."""
        return self.synced_ns is None and any(change.data for change in self.changes)

    def content(self) -> bytes:
        return applied(self.synced, self.changes)


def apply_changes(content: bytearray, changes: Iterable[Change]) -> None:
    """Make changes of a content."""
    for change in changes:
        if change.size is not None:
            del content[change.size :]
            content += bytes(change.size - len(content))
        else:
            content += bytes(max(0, change.at - len(content)))
            content[change.at : change.stop] = change.data


def applied(content: bytes | bytearray, changes: Iterable[Change]) -> bytes:
    """A content after changes."""
    result = bytearray(content)
    apply_changes(result, changes)
    return bytes(result)


def changed_part(content: bytes, at: int, data: bytes) -> tuple[int, bytes]:
    """Of what a map holds, that which differs from a file, and where: it makes no file longer."""
    old = content[at : at + len(data)]
    data = data[: len(old)]
    begin = common_prefix(old, data)
    end = len(data) - common_prefix(old[begin:][::-1], data[begin:][::-1])
    return at + begin, data[begin:end]


def common_prefix(one: bytes, other: bytes) -> int:
    """How many bytes at the beginning are equal."""
    size = min(len(one), len(other))
    if one[:size] == other[:size]:
        return size
    low = 0
    while size - low > 1:
        middle = (low + size) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            size = middle
    return low


Names = dict[int, dict[str, int]]


class DiskState(Struct, frozen=True):
    """What a disk has: path below the data directory → content; None: a folder."""

    files: Mapping[str, bytes | None]

    def digest(self) -> int:
        return hash(tuple(sorted(self.files.items(), key=lambda item: item[0])))


class LostChange(Struct, frozen=True):
    """A change that a state lacks, wholly or in part. `why`: the sync that is missing."""

    path: str
    at: int
    data: bytes
    synced_to: int
    synced_ns: int | None
    what: str
    time_ns: int = 0


class NameJournal(Struct):
    """The names that are synced by one model, and the changes of names since, in order."""

    synced: Names = field(default_factory=dict)
    changes: list[NameChange] = field(default_factory=list)

    def keep(
        self, begin: int, selected: Callable[[NameChange], bool] = lambda change: True
    ) -> None:
        """These changes are on the disk, those of them that had ended before `begin`."""
        left = []
        for change in self.changes:
            if change.end < begin and selected(change):
                set_names(self.synced, change)
            else:
                left.append(change)
        self.changes = left


class DiskModel:
    """A node's data directory. `root`: the inode of the directory.

    Files have numbers of their own, because a new file may get the inode of a removed one.
    `not_followed`: why the record cannot say what is on the disk.
    """

    def __init__(self, root: int, root_path: str, model: str = "ext4") -> None:
        self.root, self.root_path, self.model = 0, root_path, model
        root_number = self.root
        self.numbers: dict[int, int] = {root: root_number}
        self.files: dict[int, File] = {root_number: File(is_folder=True)}
        self.names: Names = {root_number: {}}
        self.journals = {model: NameJournal({root_number: {}}) for model in MODELS}
        self.not_followed: list[str] = []

    # --- what the node does -------------------------------------------------------------------

    def apply(self, entry: RecordedCall) -> None:
        """One call that has ended."""
        if not entry.succeeded:
            return
        action = getattr(self, f"_{entry.kind.name.lower()}", None)
        if action is not None:
            action(entry)

    def add(self, inode: int, file: File) -> int:
        """A file that is new; its number."""
        number = len(self.files)
        self.numbers[inode], self.files[number] = number, file
        if file.is_folder:
            self.names[number] = {}
            for journal in self.journals.values():
                journal.synced[number] = {}
        return number

    def number_of(self, inode: int) -> int:
        """The number of the file that has this inode now."""
        # A file without a name that was seen: nothing of it can be found after a power cut.
        return self.numbers[inode] if inode in self.numbers else self.add(inode, File())

    def _file(self, inode: int) -> File:
        return self.files[self.number_of(inode)]

    def _written(self, entry: RecordedCall) -> None:
        file = self._file(entry.file)
        at, data = entry.at, entry.data[: entry.result]
        if entry.flags & FROM_MAP:
            at, data = changed_part(file.content(), at, data)
            if not data:
                return
        file.changes.append(Change(entry.end, at, data, time_ns=entry.time_ns))
        if entry.flags & SYNCS_ITSELF:
            self._sync(entry.file, entry.end + 1, entry.time_ns, data_only=True)

    def _resized(self, entry: RecordedCall) -> None:
        self._resize(entry, entry.length)

    def _resize(self, entry: RecordedCall, size: int) -> None:
        file = self._file(entry.file)
        file.written_early = True
        file.changes.append(Change(entry.end, size=size, time_ns=entry.time_ns))

    def _allocated(self, entry: RecordedCall) -> None:
        mode, stop = entry.flags, entry.at + entry.length
        size = len(self._file(entry.file).content())
        if mode & COLLAPSES:
            self.not_followed.append("it moves parts of files (fallocate)")
        if mode & (PUNCH_HOLE | ZERO_RANGE):
            zeros = bytes(max(0, min(stop, size) - entry.at))
            self._file(entry.file).changes.append(Change(entry.end, entry.at, zeros))
        if not mode & KEEP_SIZE and stop > size:
            self._resize(entry, stop)

    def _mapped(self, entry: RecordedCall) -> None:
        self._file(entry.file).mapped = True

    def _not_followed(self, entry: RecordedCall) -> None:
        what = entry.paths[0] if entry.paths else "a mapped file that is too large or grows"
        self.not_followed.append(f"a change that is not followed: {what}")

    # --- syncs --------------------------------------------------------------------------------

    def _synced(self, entry: RecordedCall) -> None:
        self._sync(entry.file, entry.begin, entry.time_ns, data_only=False)

    def _data_synced(self, entry: RecordedCall) -> None:
        self._sync(entry.file, entry.begin, entry.time_ns, data_only=True)

    def _all_synced(self, entry: RecordedCall) -> None:
        for file in self.files.values():
            self._sync_content(file, entry.begin, entry.time_ns)
        for journal in self.journals.values():
            journal.keep(entry.begin)

    @property
    def journal(self) -> NameJournal:
        """The names by the model that was chosen."""
        return self.journals[self.model]

    def _sync(self, inode: int, begin: int, time_ns: int, *, data_only: bool) -> None:
        number = self.number_of(inode)
        file = self.files[number]
        commits = self._commits(number, file, begin, data_only)
        self._sync_content(file, begin, time_ns)
        if commits:
            self.journals["ext4"].keep(begin)
        self.journals["posix"].keep(begin, lambda change: change.is_in(number))

    def _commits(self, number: int, file: File, begin: int, data_only: bool) -> bool:
        """Whether a sync of this file waits for the journal of ext4."""
        for change in self.journals["ext4"].changes:
            if change.end < begin and (
                change.is_in(number)
                or (change.file == number and (change.created or not data_only))
            ):
                return True
        changes = [change for change in file.changes if change.end < begin]
        if not data_only:
            return bool(changes)
        size = len(file.synced)
        return any(change.size is not None or change.stop > size for change in changes)

    def _sync_content(self, file: File, begin: int, time_ns: int) -> None:
        covered = [change for change in file.changes if change.end < begin]
        file.changes = file.changes[len(covered) :]
        apply_changes(file.synced, covered)
        file.synced_ns = time_ns

    # --- names --------------------------------------------------------------------------------

    def _created(self, entry: RecordedCall) -> None:
        self._name(entry, entry.paths[0], self.add(entry.file, File()), "created")

    def _folder_made(self, entry: RecordedCall) -> None:
        number = self.add(entry.file, File(is_folder=True))
        self._name(entry, entry.paths[0], number, "created")

    def _linked(self, entry: RecordedCall) -> None:
        self._name(entry, entry.paths[1], self.number_of(entry.file), "linked")

    def _removed(self, entry: RecordedCall) -> None:
        place = self._place(entry.paths[0])
        if place is not None:
            number = self.names[place[0]].get(place[1], 0)
            self._change(entry, ((*place, None),), number, "removed", entry.paths[0])

    def _renamed(self, entry: RecordedCall) -> None:
        old, new = map(self._place, entry.paths)
        if old is None or new is None:
            self.not_followed.append(f"a rename between folders that it does not know: {entry}")
            return
        number = self.names[old[0]].get(old[1])
        if number is None:
            number = self.number_of(entry.file)
        self.files[number].written_early = True
        self._change(entry, ((*old, None), (*new, number)), number, "renamed", entry.paths[1])

    def _name(self, entry: RecordedCall, path: str, number: int, verb: str) -> None:
        place = self._place(path)
        if place is None:
            self.not_followed.append(f"{path} is in a folder that it does not know")
        else:
            self._change(entry, ((*place, number),), number, verb, path)

    def _change(
        self,
        entry: RecordedCall,
        names: tuple[tuple[int, str, int | None], ...],
        number: int,
        verb: str,
        path: str,
    ) -> None:
        shown = path.removeprefix(self.root_path).lstrip("/")
        change = NameChange(entry.end, names, number, verb == "created", verb, shown, entry.time_ns)
        for journal in self.journals.values():
            journal.changes.append(change)
        set_names(self.names, change)

    def _place(self, path: str) -> tuple[int, str] | None:
        """The folder of a path, and the name in it."""
        *folders, name = path.removeprefix(self.root_path).strip("/").split("/")
        folder = self.root
        for part in folders:
            found = self.names.get(folder, {}).get(part)
            if found is None or not self.files[found].is_folder:
                return None
            folder = found
        return folder, name

    def adopt(self, path: str, inode: int, file: File) -> None:
        """A file or folder that is on the disk with this content, whatever was known of it."""
        place = self._place(path)
        if place is None:
            self.not_followed.append(f"{path} is in a folder that it does not know")
            return
        number = self.add(inode, file)
        for names in self._all_names():
            names.setdefault(place[0], {})[place[1]] = number

    def forget(self, path: str) -> None:
        """A name that is on the disk no more."""
        place = self._place(path)
        if place is not None:
            for names in self._all_names():
                names.get(place[0], {}).pop(place[1], None)

    def _all_names(self) -> list[Names]:
        return [self.names, *(journal.synced for journal in self.journals.values())]

    # --- what a power cut leaves --------------------------------------------------------------

    def now(self) -> DiskState:
        """The files as the node sees them."""
        return self._state(self.names, {})

    def paths(self) -> dict[str, int]:
        """The number of each file and folder, by path."""
        return dict(walk(self.names, self.root))

    @property
    def is_synced(self) -> bool:
        """Whether a power cut would change nothing."""
        return not self.journal.changes and not any(file.changes for file in self.files.values())

    def legal(self, keep: str, rng: random.Random) -> DiskState:
        """A state that the disk may have. `keep`: a key of KEEPS; `rng` draws it."""
        return self._state(*self._draw(keep, rng))

    def _draw(self, keep: str, rng: random.Random) -> tuple[Names, dict[int, list[Change]]]:
        def choose(changes: list[Change]) -> list[Change]:
            if keep == "none":
                return []
            if keep == "prefix":
                return changes[: rng.randint(0, len(changes))]
            if keep == "any":
                return [part for change in changes for part in any_part(change, rng)]
            return list(changes)

        contents = {number: choose(file.changes) for number, file in self.files.items()}
        return self._draw_names(keep, rng), contents

    def _draw_names(self, keep: str, rng: random.Random) -> Names:
        changes = self.journal.changes
        if keep == "none":
            kept: Sequence[NameChange] = ()
        elif keep == "all":
            kept = changes
        elif keep == "prefix" or self.model == "ext4":
            kept = changes[: rng.randint(0, len(changes))]
        else:
            kept = [change for change in changes if rng.random() < 0.5]
        return self.names_with(kept)

    def names_with(self, kept: Iterable[NameChange]) -> Names:
        """The synced names after these changes."""
        names = {folder: dict(entries) for folder, entries in self.journal.synced.items()}
        for change in kept:
            set_names(names, change)
        return names

    def state_with(
        self, names: Iterable[NameChange], contents: Mapping[int, Sequence[Change]]
    ) -> DiskState:
        """The state that has these changes of names, and of each file these changes."""
        known = {number: list(contents.get(number, ())) for number in self.files}
        return self._state(self.names_with(names), known)

    def _state(self, names: Names, contents: Mapping[int, list[Change]]) -> DiskState:
        """`contents`: of each file the changes that are kept; a file without an entry keeps all."""
        found: dict[str, bytes | None] = {}
        for path, number in walk(names, self.root):
            file = self.files[number]
            if file.is_folder:
                found[path] = None
            elif number in contents:
                found[path] = applied(file.synced, contents[number])
            else:
                found[path] = file.content()
        return DiskState(found)

    def lost(self, state: DiskState) -> list[LostChange]:
        """The changes that a state lacks, wholly or in part, in the order of their times."""
        found = [*self._lost_names(state), *self._lost_bytes(state)]
        return sorted(found, key=lambda change: change.time_ns)

    def _lost_names(self, state: DiskState) -> Iterator[LostChange]:
        now = self.now().files
        for change in self.journal.changes:
            path = change.path
            if (path in now) != (path in state.files) or self._differs(change, state):
                file = self.files.get(change.file, File())
                data = b"" if file.is_folder else file.content()
                yield LostChange(path, 0, data, 0, None, change.verb, change.time_ns)

    def _differs(self, change: NameChange, state: DiskState) -> bool:
        """Whether a renamed file is not what has its name."""
        file = self.files.get(change.file)
        if change.verb != "renamed" or file is None or file.is_folder:
            return False
        return state.files.get(change.path) != file.content()

    def _lost_bytes(self, state: DiskState) -> Iterator[LostChange]:
        paths = {number: path for path, number in self.paths().items()}
        for number, file in self.files.items():
            path = paths.get(number)
            if path is None or not file.changes or file.is_folder:
                continue
            left = state.files.get(path)
            content = b"" if left is None else left
            size = len(file.synced)
            for change in file.changes:
                if change.size is not None:
                    if path in state.files and len(content) != len(file.content()):
                        yield LostChange(
                            path, change.size, b"", size, file.synced_ns, "resized", change.time_ns
                        )
                elif content[change.at : change.stop] != change.data:
                    yield LostChange(
                        path,
                        change.at,
                        change.data,
                        size,
                        file.synced_ns,
                        "written",
                        change.time_ns,
                    )


def any_part(change: Change, rng: random.Random) -> Iterator[Change]:
    """What of a change is kept: each sector of a write or not."""
    for part in sectors_of(change):
        if rng.random() < 0.5:
            yield part


def sectors_of(change: Change) -> Iterator[Change]:
    """The parts of a change that are kept or lost as a whole."""
    if change.size is not None:
        yield change
        return
    at = change.at
    while at < change.stop:
        stop = min(change.stop, (at // SECTOR_BYTES + 1) * SECTOR_BYTES)
        yield replace(change, at=at, data=change.data[at - change.at : stop - change.at])
        at = stop


def set_names(names: Names, change: NameChange) -> None:
    """Make a change of names. A name whose file is not there stays away."""
    for folder, name, inode in change.names:
        entries = names.setdefault(folder, {})
        if inode is None:
            entries.pop(name, None)
        else:
            entries[name] = inode


def walk(names: Names, folder: int, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, int]]:
    """(path, number) of everything below a folder."""
    if depth > DEPTH_MAX:
        return
    for name, number in sorted(names.get(folder, {}).items()):
        path = f"{prefix}{name}"
        yield path, number
        if number in names:
            yield from walk(names, number, f"{path}/", depth + 1)
