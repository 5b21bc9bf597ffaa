"""The page of shared memory by which the preloaded library is told and read: kvsim's end of `struct page` in library/control.h.

Holds numbers; knows no node and no fault.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

BYTES = 4096
MAGIC = 0x6B7673696D703031
UNSIGNED = (
    "magic", "active",
    "how", "calls", "chance", "error", "delay_ns", "seed",
    "clock_offset_ns", "clock_anchor_ns", "clock_extra_ppb",
    "writes_offered", "writes_refused", "syncs_offered", "syncs_refused", "syncs_delayed", "delayed_ns", "last_error", "passed",
    "clock_asked", "clock_real_ns", "clock_told_ns",
    "data_bytes",
)  # fmt: skip
SIGNED = frozenset(
    {"clock_offset_ns", "clock_anchor_ns", "clock_extra_ppb", "clock_real_ns", "clock_told_ns"}
)
PLACES = {name: (8 * place, "=q" if name in SIGNED else "=Q") for place, name in enumerate(UNSIGNED)}
DATA_AT, DATA_BYTES_MAX = 8 * len(UNSIGNED), 2048
DISK, WATCH, CLOCK = 1, 2, 4  # bits of `active`
COUNTERS = (
    "writes_offered", "writes_refused", "syncs_offered", "syncs_refused", "syncs_delayed", "delayed_ns", "last_error", "passed",
)  # fmt: skip
CLOCK_COUNTERS = ("clock_asked", "clock_real_ns", "clock_told_ns")


class Page:
    """One node's page. Close it; the file stays until its folder goes."""

    def __init__(self, path: Path, data_dir: Path) -> None:
        """Make the file, with no rule on. Raises ValueError for a data directory whose name is too long, OSError."""
        data = os.fsencode(data_dir.resolve())
        if len(data) >= DATA_BYTES_MAX:
            raise ValueError(f"{data_dir}: its name is too long")
        self.path = path
        path.write_bytes(bytes(BYTES))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), BYTES)
        path.chmod(0o666)  # a node may run as another user
        self._map[DATA_AT : DATA_AT + len(data)] = data
        self["data_bytes"] = len(data)
        self["magic"] = MAGIC

    def __getitem__(self, name: str) -> int:
        at, form = PLACES[name]
        return struct.unpack_from(form, self._map, at)[0]

    def __setitem__(self, name: str, value: int) -> None:
        at, form = PLACES[name]
        struct.pack_into(form, self._map, at, value)

    def is_on(self, bit: int) -> bool:
        return bool(self["active"] & bit)

    def switch(self, *, on: int = 0, off: int = 0) -> None:
        """Set and clear bits of `active`; only kvsim writes them."""
        self["active"] = (self["active"] | on) & ~off

    def begin(self, bit: int, rule: dict[str, int], counters: tuple[str, ...]) -> None:
        """Forget what was counted, write a rule, then switch it on."""
        for name, value in {**dict.fromkeys(counters, 0), **rule}.items():
            self[name] = value
        self.switch(on=bit)

    def close(self) -> None:
        self._map.close()
