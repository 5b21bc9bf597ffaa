"""The library and a shared page for each node, in a folder of the run.

They are there before the nodes start and removed after the nodes have stopped. A process can have
the library loaded and not call it: Go programs call the kernel directly, even when they are
dynamically linked. So /proc and the program's file show whether the library reaches a process.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct, field

from kvsim.errors import RunInvalid
from kvsim.faults.power.disk_recording import DiskRecording
from kvsim.faults.power.followed import own_kernel_calls, why_not_followed
from kvsim.faults.preload.build import build_library, cache_folder
from kvsim.faults.preload.shared_memory import RECORD_BIT, SharedPage
from kvsim.process.identity import Identity
from kvsim.run_directory import remove_folder

VARIABLE = "KVSIM_CONTROL"
GO_NOTE = b"Go\0\0"
PT_NOTE = 4
HEAD_BYTES = 1 << 16


class PreloadControl(Struct, frozen=True):
    """`library`: the copy that nodes load, readable for the users that run nodes.

    `pages`: by node. `recordings`: by node, where it is recorded what the nodes write.
    """

    library: Path
    pages: Mapping[str, SharedPage]
    recordings: Mapping[str, DiskRecording] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Identifies the library."""
        return hashlib.sha256(self.library.read_bytes()).hexdigest()

    def variables(self, name: str) -> dict[str, str]:
        """The environment variables that the library in a node reads."""
        return {VARIABLE: str(self.pages[name].path)}

    def preparing(self, name: str) -> contextlib.AbstractContextManager[None]:
        """Around what is done in a data directory before the node starts."""
        recording = self.recordings.get(name)
        return recording.preparing() if recording else contextlib.nullcontext()

    def why_unreachable(self, tree: Sequence[Identity], data_dir: Path) -> str | None:
        """Why the library does not reach a node.

        None when it does, or when the node is down and may still start. What counts are the
        processes that have files in the data directory open: not the shell around the program, and
        not a helper process.
        """
        processes = with_files(tree, data_dir)
        reasons = [why_unreachable(process.pid, self.library) for process in processes]
        return None if None in reasons or not reasons else reasons[0]

    def why_not_recorded(self, tree: Sequence[Identity], data_dir: Path) -> str | None:
        """Why the record lacks something that a node does with its files. None: it is whole, as far
        as that can be known while the node runs.
        """
        processes = with_files(tree, data_dir)
        reasons = map(why_not_followed, (process.pid for process in processes))
        return self.why_unreachable(tree, data_dir) or next(filter(None, reasons), None)

    def find_own_calls(self, name: str, tree: Sequence[Identity], data_dir: Path) -> None:
        """Note for the record of a node which of its code calls the kernel by itself."""
        processes = with_files(tree, data_dir)
        found = (own_kernel_calls(process.pid) for process in processes)
        self.recordings[name].own_calls = next(filter(None, found), "")


NO_OWNERS: Mapping[str, int] = MappingProxyType({})


@contextlib.contextmanager
def prepare_preload(
    folder: Path,
    data_dirs: Mapping[str, Path],
    owners: Mapping[str, int] = NO_OWNERS,
    *,
    record: bool = False,
) -> Iterator[PreloadControl]:
    """Install everything in the folder, and remove the folder at the end.

    `data_dirs`: by node. `owners`: the users of the nodes that run as another user. No other user
    can reach the folder. `record`: what the nodes write is recorded. Raises NotBuilt, RunInvalid.
    """
    pages: dict[str, SharedPage] = {}
    recordings: dict[str, DiskRecording] = {}
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # Another user of a node may pass, but not list it.
            folder.chmod(0o711 if owners else 0o700)
            copy = folder.resolve() / "preload.so"
            shutil.copy(build_library(cache_folder(), folder / "built"), copy)
            copy.chmod(0o755 if owners else 0o700)
            for name, data_dir in data_dirs.items():
                path = folder.resolve() / f"{name}.page"
                pages[name] = SharedPage(path, data_dir, owners.get(name))
                if record:
                    where = path.with_suffix(".record")
                    recordings[name] = DiskRecording(where, data_dir, owners.get(name))
                    pages[name].switch(on=RECORD_BIT)
        except (OSError, ValueError) as error:
            raise RunInvalid(
                f"faults of disks and clocks could not be prepared: {error}"
            ) from error
        yield PreloadControl(copy, pages, recordings)
    finally:
        for page in pages.values():
            page.close()
        remove_folder(folder)


# --- does the library reach a process? ------------------------------------------------------------


def why_unreachable(pid: int, library: Path) -> str | None:
    """Why the library does not reach a process; None when it does."""
    program = Path(f"/proc/{pid}/exe")
    try:
        name = program.readlink().name
        mapped = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
        with program.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        return f"pid {pid} cannot be examined ({error.strerror})"
    if is_go(head):
        return f"{name} is a Go program, which calls the kernel without the C library"
    if str(library) not in mapped:
        return (
            f"{name} did not load the library: it is statically linked, "
            "has its own privileges, or drops LD_PRELOAD"
        )
    return None


def with_files(tree: Sequence[Identity], folder: Path) -> Sequence[Identity]:
    """The processes that have files below a folder open; all when none has."""
    return [process for process in tree if has_open_files(process.pid, folder)] or tree


def has_open_files(pid: int, folder: Path) -> bool:
    """Whether a process has a file below a folder open, or the folder itself."""
    try:
        return any(_is_below(entry, folder) for entry in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def _is_below(link: Path, folder: Path) -> bool:
    try:
        return link.readlink().is_relative_to(folder)
    except OSError:
        return False


def is_go(head: bytes) -> bool:
    """Whether an ELF file has the note that Go's linker writes. `head`: its first bytes."""
    if head[:4] != b"\x7fELF" or len(head) < 64:
        return False
    is_64_bit, byte_order = head[4] == 2, "<" if head[5] == 1 else ">"
    try:
        return any(
            kind == PT_NOTE and GO_NOTE in head[offset : offset + length]
            for kind, offset, length in _segments(head, is_64_bit, byte_order)
        )
    except struct.error:
        return False


def _segments(head: bytes, is_64_bit: bool, byte_order: str) -> Iterator[tuple[int, int, int]]:
    """(type, offset, length) of each entry of the program header table. Raises struct.error."""
    word = f"{byte_order}{'Q' if is_64_bit else 'I'}"
    table_at, sizes_at = (32, 54) if is_64_bit else (28, 42)
    offset_at, length_at = (8, 32) if is_64_bit else (4, 16)
    (start,) = struct.unpack_from(word, head, table_at)
    size, count = struct.unpack_from(f"{byte_order}HH", head, sizes_at)
    for entry in range(start, start + size * count, size or 1):
        (kind,) = struct.unpack_from(f"{byte_order}I", head, entry)
        (offset,) = struct.unpack_from(word, head, entry + offset_at)
        (length,) = struct.unpack_from(word, head, entry + length_at)
        yield kind, offset, length
