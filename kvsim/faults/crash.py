"""Crash: kill nodes, then cut or garble the last bytes of a file in their data directory, as a torn write would.

Receipt: that of a kill, and the file's size or content before and after. Healing starts the nodes; the damage stays, since
coming back from it is what the node is asked for.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kvsim.faults.down import receipt_of_end, started_again
from kvsim.faults.fault import Healing, Receipt
from kvsim.faults.subject import Subject


@dataclass(frozen=True)
class Crash:
    """`size` is how many bytes are damaged in each file, at most all it has. `seed` draws what is written over them."""

    subjects: tuple[Subject, ...]
    file: str
    how: str
    size: int
    seed: str
    kind: str = "crash"

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(subject.name for subject in self.subjects)

    def plan(self) -> Mapping[str, Any]:
        return {"file": self.file, "how": self.how, "bytes": self.size}

    def begin(self) -> Sequence[Receipt]:
        for subject in self.subjects:
            subject.kill("KILL")
        return [self._damage(subject) for subject in self.subjects]

    def end(self) -> Sequence[Receipt]:
        return ()

    def heal(self) -> Sequence[Healing]:
        return [started_again(subject) for subject in self.subjects]

    def _damage(self, subject: Subject) -> Receipt:
        killed = receipt_of_end(subject)
        path = newest(subject.data_dir, self.file)
        if path is None:
            says = f"{killed.says}; no file in its data directory fits {self.file}"
            return Receipt(subject.name, False, says, killed.evidence)
        before, after = damage(path, self.how, self.size, random.Random(f"{self.seed}:{subject.name}"))
        name = str(path.relative_to(subject.data_dir))
        says = f"{killed.says}; the last {before - after or self.size} bytes of {name} ({before} bytes) were {DONE[self.how]}"
        evidence = {**killed.evidence, "file": name, "size_before": before, "size_after": after}
        return Receipt(subject.name, bool(killed.bit) and before > 0, says, evidence)


DONE = {"cut": "cut off", "garble": "garbled"}


def newest(folder: Path, pattern: str) -> Path | None:
    """The file written last whose path below `folder` fits the pattern."""
    files = [path for path in folder.rglob(pattern) if path.is_file()]
    return max(files, key=lambda path: (path.stat().st_mtime_ns, path.name), default=None)


def damage(path: Path, how: str, size: int, rng: random.Random) -> tuple[int, int]:
    """Damage the last `size` bytes that are not zero fill; (end of the content before, after)."""
    with path.open("r+b") as file:
        content = file.read()
        end = len(content.rstrip(b"\0"))  # a preallocated file ends in zeros that nobody wrote
        start = max(0, end - size)
        file.seek(start)
        if how == "cut":
            file.write(bytes(end - start))
            if end == len(content):
                file.truncate(start)
            return end, start
        file.write(bytes(byte ^ rng.randint(1, 255) for byte in content[start:end]))
        return end, end
