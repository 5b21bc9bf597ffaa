"""A full disk for one node, from outside: no file of its processes may grow beyond a size.

It is RLIMIT_FSIZE, for programs that no library reaches, and coarser than a full disk. It holds for
the node's log as well, so where the log is a file, the limit leaves space for it (with `log: pty`
it is none). Files may be written below the limit. A write beyond it gets EFBIG and the signal
SIGXFSZ, which ends most programs.
"""

from __future__ import annotations

import contextlib
import resource
import stat
from pathlib import Path

from msgspec import Struct, field

from kvsim.faults.fault import Evidence, FaultFailed
from kvsim.faults.node_handle import NodeHandle

# Space for the node's log.
LOG_SPACE_BYTES = 64 << 10

# A disk allocates blocks, so a write is cut at the end of a block.
BLOCK_BYTES = 4096

LOGGED = r"(?i)file too large|file size limit|EFBIG|SIGXFSZ|no space left"
SIGNAL = "SIGXFSZ"

# Soft, hard.
Limit = tuple[int, int]


class FileSizeLimit(Struct):
    """`limits_before`: the limits that processes had, by pid.

    `logged_before`: the node had logged such a message before the fault.
    """

    handle: NodeHandle
    bytes_max: int = 0
    logged_before: bool = False
    limits_before: dict[int, Limit] = field(default_factory=dict)

    def begin(self) -> None:
        """Raises FaultFailed when kvsim has no permission."""
        pids = [process.pid for process in self.handle.tree()]
        self.logged_before = self.handle.logged(LOGGED)
        longest = max((_longest_log(pid, self.handle.data_dir) for pid in pids), default=0)
        if longest:
            self.bytes_max = -(-longest // BLOCK_BYTES) * BLOCK_BYTES + LOG_SPACE_BYTES
        for pid in pids:
            try:
                soft, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (self.bytes_max, hard))
            except OSError as error:
                raise FaultFailed(
                    f"{self.handle.name}: its files cannot be limited: {error.strerror}"
                ) from error
            self.limits_before[pid] = (soft, hard)

    def evidence(self) -> Evidence:
        """The node ended because of the limit, or has logged that it reached it."""
        name, ended = self.handle.name, self.handle.ended()
        measured = {
            "by": "a limit on the size of its files, set from outside",
            "limit_bytes": self.bytes_max,
            "ended": ended,
        }
        limit = f"{name}: none of its files may grow beyond {self.bytes_max} bytes"
        if ended and SIGNAL in ended:
            return Evidence(name, True, f"{limit}; it {ended}", measured)
        if not self.logged_before and self.handle.logged(LOGGED):
            return Evidence(name, True, f"{limit}; it logged that it reached the limit", measured)
        return Evidence(name, None, f"{limit}, and nothing shows that a file reached it", measured)

    def end(self) -> None:
        for pid, limit in self.limits_before.items():
            # A process that has ended has no limit any more.
            with contextlib.suppress(OSError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, limit)

    def check_recovered(self) -> tuple[bool, str]:
        limited = any(_limit(pid) not in (None, limit) for pid, limit in self.limits_before.items())
        return not limited, f"its files are {'still' if limited else 'no longer'} limited"


def _limit(pid: int) -> Limit | None:
    try:
        return resource.prlimit(pid, resource.RLIMIT_FSIZE)
    except OSError:
        return None


def _longest_log(pid: int, data_dir: Path) -> int:
    """The length of the longest file that a process has open outside its data directory."""
    longest = 0
    try:
        entries = list(Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return 0
    for entry in entries:
        with contextlib.suppress(OSError):
            status = entry.stat()
            if stat.S_ISREG(status.st_mode) and not entry.readlink().is_relative_to(data_dir):
                longest = max(longest, status.st_size)
    return longest
