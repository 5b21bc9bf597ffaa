"""Crash: kill nodes, then cut off or corrupt the last bytes of a file in their data directory.

This is what a torn write leaves. Evidence: that of a kill, and the file's size before and after.
Recovery starts the nodes; the damage stays, because the node has to recover from it.
"""

from __future__ import annotations

import contextlib
import os
import random
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from kvsim.config.program_schema import SafePath
from kvsim.config.schema import Choice, Field, Int
from kvsim.config.target import Target
from kvsim.data_directory import NotInDirectory, is_inside, open_file
from kvsim.faults.fault import Evidence, Fault, Recovery
from kvsim.faults.node_handle import NodeHandle, evidence_of_end, names_of, start_again
from kvsim.faults.registry import AT, BuildContext, FaultDeclaration
from kvsim.folders import ANY_DEPTH, find_paths

METHODS = {
    "cut": "bytes are cut off the end",
    "corrupt": "bytes at the end are overwritten with others",
}
DONE = {"cut": "cut off", "corrupt": "corrupted"}


class Crash(Struct, frozen=True):
    """`file`: a pattern; the newest file that matches is damaged, in its last `size` bytes at most.

    `how`: a key of METHODS. `seed` draws the bytes that are written over them.
    """

    handles: tuple[NodeHandle, ...]
    file: str
    how: str
    size: int
    seed: str
    kind: str = "crash"

    @property
    def nodes(self) -> tuple[str, ...]:
        return names_of(self.handles)

    def plan(self) -> Mapping[str, Any]:
        return {"file": self.file, "how": self.how, "bytes": self.size}

    def begin(self) -> Sequence[Evidence]:
        for handle in self.handles:
            handle.kill("KILL")
        return [self._damage(handle) for handle in self.handles]

    def measure(self) -> Sequence[Evidence]:
        return ()

    def recover(self) -> Sequence[Recovery]:
        return [start_again(handle) for handle in self.handles]

    def _damage(self, handle: NodeHandle) -> Evidence:
        killed = evidence_of_end(handle)
        path = newest(handle.data_dir, self.file)
        if path is None:
            message = f"{killed.message}; no file in its data directory matches {self.file}"
            return Evidence(handle.name, False, message, killed.measured)
        rng = random.Random(f"{self.seed}:{handle.name}")
        name = str(path.relative_to(handle.data_dir))
        try:
            with open_file(handle.data_dir, name) as descriptor:
                before, after = damage(descriptor, self.how, self.size, rng)
        except (NotInDirectory, OSError) as error:
            message = f"{killed.message}; nothing was damaged: {error}"
            return Evidence(handle.name, False, message, killed.measured)
        message = (
            f"{killed.message}; the last {before - after or self.size} bytes of {name} "
            f"({before} bytes) were {DONE[self.how]}"
        )
        measured = {**killed.measured, "file": name, "size_before": before, "size_after": after}
        return Evidence(handle.name, bool(killed.took_effect) and before > 0, message, measured)


def newest(folder: Path, pattern: str) -> Path | None:
    """The file that matches the pattern and was written last, of those that are below `folder`.

    A link that leads out of it is none of them.
    """
    found = []
    for path in find_paths(folder, f"{ANY_DEPTH}/{pattern}"):
        with contextlib.suppress(OSError):
            status = path.stat()
            if stat.S_ISREG(status.st_mode) and is_inside(folder, path):
                found.append((status.st_mtime_ns, path.name, path))
    return max(found)[-1] if found else None


def damage(descriptor: int, how: str, size: int, rng: random.Random) -> tuple[int, int]:
    """Damage the last `size` bytes before zero fill; (end of the content before, after)."""
    with os.fdopen(descriptor, "r+b", closefd=False) as file:
        content = file.read()
        # A preallocated file ends in zeros that no program wrote.
        end = len(content.rstrip(b"\0"))
        start = max(0, end - size)
        file.seek(start)
        if how == "cut":
            file.write(bytes(end - start))
            if end == len(content):
                file.truncate(start)
            return end, start
        file.write(bytes(byte ^ rng.randint(1, 255) for byte in content[start:end]))
        return end, end


# --- the kind ---------------------------------------------------------------------------------


class CrashSettings(Struct, frozen=True):
    at: Target
    file: str
    how: str
    max_bytes: int


def _build(context: BuildContext, settings: CrashSettings) -> Fault:
    size = context.rng("damage").randint(1, settings.max_bytes)
    handles, seed = context.handles(settings.at), f"{context.seed}:damage"
    return Crash(handles, settings.file, settings.how, size, seed)


CRASH = FaultDeclaration(
    name="crash",
    order=40,
    description="kill the nodes and damage the end of a file in their data directory, "
    "as a torn write would",
    settings=CrashSettings,
    fields={
        "at": AT,
        "file": Field(
            SafePath("a pattern for files below the data directory"),
            "which file: the newest that matches",
            required=True,
        ),
        "how": Field(Choice(METHODS), "what happens to its end", default="cut", default_text="cut"),
        "max_bytes": Field(
            Int(1, 1 << 20, "bytes"),
            "at most this many bytes, drawn from the seed",
            default=64,
            default_text="64",
        ),
    },
    bare="",
    build=_build,
    evidence="that of a kill, and the file's size before and after",
    recovery="the node is ready again; the damage stays",
    ends_nodes="always",
    damages_data=True,
)
