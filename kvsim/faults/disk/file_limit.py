"""A disk that is full for one node, from outside: no file of its processes may grow beyond a size (RLIMIT_FSIZE).

For programs that no library reaches. Coarser than a full disk: it holds for the node's log as well, so it leaves that some room where it
is a file (`log: pty` makes it none); files may be written below the limit; and what goes beyond it meets EFBIG and the signal SIGXFSZ,
of which most programs die.
"""

from __future__ import annotations

import contextlib
import resource
import stat
from dataclasses import dataclass, field
from pathlib import Path

from kvsim.faults.fault import FaultFailed, Receipt
from kvsim.faults.subject import Subject

ROOM_BYTES = 64 << 10  # for the node's log
BLOCK_BYTES = 4096  # a disk gives room in blocks, so that is where a write is cut
MET = r"(?i)file too large|file size limit|EFBIG|SIGXFSZ|no space left"
ENDED = "SIGXFSZ"

Limit = tuple[int, int]  # soft, hard


@dataclass
class FileLimit:
    """`before` are the limits that processes had, by pid."""

    subject: Subject
    bytes_max: int = 0
    met_before: bool = False
    before: dict[int, Limit] = field(default_factory=dict)

    def begin(self) -> None:
        """Raises FaultFailed when kvsim may not."""
        pids = [process.pid for process in self.subject.tree()]
        self.met_before = self.subject.logged(MET)
        longest = max((_longest_log(pid, self.subject.data_dir) for pid in pids), default=0)
        self.bytes_max = -(-longest // BLOCK_BYTES) * BLOCK_BYTES + ROOM_BYTES if longest else 0
        for pid in pids:
            try:
                soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (self.bytes_max, hard))
            except OSError as error:
                raise FaultFailed(
                    f"{self.subject.name}: its files cannot be limited: {error.strerror}"
                ) from error
            self.before[pid] = (soft, hard)

    def receipt(self) -> Receipt:
        """The node's own word: it died of the limit, or logged that it met it."""
        name, ended = self.subject.name, self.subject.ended()
        evidence = {
            "by": "a limit on the size of its files, set from outside",
            "limit_bytes": self.bytes_max,
            "ended": ended,
        }
        limit = f"no file of it may grow beyond {self.bytes_max} bytes"
        if ended and ENDED in ended:
            return Receipt(name, True, f"{name}: {limit}; it {ended}", evidence)
        if not self.met_before and self.subject.logged(MET):
            return Receipt(name, True, f"{name}: {limit}; it logged that it met that", evidence)
        return Receipt(name, None, f"{name}: {limit}, and nothing shows that one did", evidence)

    def end(self) -> None:
        for pid, limit in self.before.items():
            with contextlib.suppress(OSError):  # it is gone, and its limit with it
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)

    def after(self) -> tuple[bool, str]:
        left = [pid for pid, limit in self.before.items() if _limit(pid) not in (None, limit)]
        return not left, f"its files are {'still' if left else 'no longer'} limited"


def _limit(pid: int) -> Limit | None:
    try:
        return resource.prlimit(pid, resource.RLIMIT_FSIZE)
    except OSError:
        return None


def _longest_log(pid: int, data_dir: Path) -> int:
    """How long the longest file is that a process has open outside its data directory."""
    longest = 0
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            seen = entry.stat()
            if stat.S_ISREG(seen.st_mode) and not entry.readlink().is_relative_to(data_dir):
                longest = max(longest, seen.st_size)
    return longest
