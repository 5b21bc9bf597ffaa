"""The library and a page for each node, in a folder of the run: put there before nodes start, gone when they have stopped."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvsim.errors import RunInvalid
from kvsim.faults.preload.build import cache_folder, library
from kvsim.faults.preload.page import Page
from kvsim.faults.preload.reach import holds_files, why_not
from kvsim.process.identity import Identity

VARIABLE = "KVSIM_CONTROL"


@dataclass(frozen=True)
class Control:
    """`library` is the copy that nodes load: one that each user who runs a node can read. `pages` are by node."""

    library: Path
    pages: Mapping[str, Page]

    @property
    def digest(self) -> str:
        """What says which library it is."""
        return hashlib.sha256(self.library.read_bytes()).hexdigest()

    def variables(self, name: str) -> dict[str, str]:
        """What the library in a node looks for in its environment."""
        return {VARIABLE: str(self.pages[name].path)}

    def why_not(self, tree: Sequence[Identity], data_dir: Path) -> str | None:
        """Why a node is out of the library's reach; None when it is within, or is down and may yet be started.

        What counts is who has files in the data directory open: not the shell around the program, nor a helper beside it.
        """
        holders = [process for process in tree if holds_files(process.pid, data_dir)] or tree
        reasons = [why_not(process.pid, self.library) for process in holders]
        return None if None in reasons or not reasons else reasons[0]


@contextlib.contextmanager
def prepared(folder: Path, data_dirs: Mapping[str, Path]) -> Iterator[Control]:
    """Put everything in place; on leaving the folder is removed. Raises NotBuilt, RunInvalid."""
    pages: dict[str, Page] = {}
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(0o711)  # a node may run as another user
            copy = folder.resolve() / "preload.so"
            shutil.copy(library(cache_folder(), folder / "built"), copy)
            for name, data_dir in data_dirs.items():
                pages[name] = Page(folder.resolve() / f"{name}.page", data_dir)
        except (OSError, ValueError) as error:
            raise RunInvalid(f"faults of disks and clocks could not be prepared: {error}") from error
        yield Control(copy, pages)
    finally:
        for page in pages.values():
            page.close()
        shutil.rmtree(folder, ignore_errors=True)
