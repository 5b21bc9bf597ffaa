"""The page of shared memory through which kvsim controls and reads the preloaded library.

This is kvsim's side of `struct page` in library/control.h. It holds numbers and knows no fault.
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

PAGE_BYTES = 4096
MAGIC = 0x6B7673696D703031

# As in library/control.h: the same fields in the same order, 8 bytes each.
FIELDS = (
    "magic",
    "active",
    "how",
    "calls",
    "chance",
    "error",
    "delay_ns",
    "seed",
    "clock_offset_ns",
    "clock_anchor_ns",
    "clock_extra_ppb",
    "writes_offered",
    "writes_refused",
    "syncs_offered",
    "syncs_refused",
    "syncs_delayed",
    "delayed_ns",
    "last_error",
    "succeeded",
    "clock_reads",
    "clock_real_ns",
    "clock_reported_ns",
    "sequence",
    "held",
    "not_recorded",
    "data_dir_bytes",
)
SIGNED = frozenset(
    {"clock_offset_ns", "clock_anchor_ns", "clock_extra_ppb", "clock_real_ns", "clock_reported_ns"}
)

# field -> (offset, struct format)
OFFSETS = {name: (8 * index, "=q" if name in SIGNED else "=Q") for index, name in enumerate(FIELDS)}
DATA_DIR_OFFSET, DATA_DIR_BYTES_MAX = 8 * len(FIELDS), 2048

# Bits of `active`.
DISK_BIT, WATCH_BIT, CLOCK_BIT, RECORD_BIT, HOLD_BIT = 1, 2, 4, 8, 16

COUNTERS = (
    "writes_offered",
    "writes_refused",
    "syncs_offered",
    "syncs_refused",
    "syncs_delayed",
    "delayed_ns",
    "last_error",
    "succeeded",
)
CLOCK_COUNTERS = ("clock_reads", "clock_real_ns", "clock_reported_ns")


class SharedPage:
    """One node's page. Close it; the file stays until its folder is removed."""

    def __init__(self, path: Path, data_dir: Path, owner: int | None = None) -> None:
        """Create the file, with no rule on. Only `owner` can open it, the user of the node.

        Raises ValueError when the path of the data directory is too long, OSError.
        """
        name = os.fsencode(data_dir.resolve())
        if len(name) >= DATA_DIR_BYTES_MAX:
            raise ValueError(f"{data_dir}: its path is too long")
        self.path = path
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(handle, PAGE_BYTES)
            self._map = mmap.mmap(handle, PAGE_BYTES)
            if owner is not None:
                os.fchown(handle, owner, -1)
        finally:
            os.close(handle)
        self._map[DATA_DIR_OFFSET : DATA_DIR_OFFSET + len(name)] = name
        self["data_dir_bytes"] = len(name)
        self["magic"] = MAGIC

    def __getitem__(self, name: str) -> int:
        offset, form = OFFSETS[name]
        value: int = struct.unpack_from(form, self._map, offset)[0]
        return value

    def __setitem__(self, name: str, value: int) -> None:
        offset, form = OFFSETS[name]
        struct.pack_into(form, self._map, offset, value)

    def is_on(self, bit: int) -> bool:
        return bool(self["active"] & bit)

    def switch(self, *, on: int = 0, off: int = 0) -> None:
        """Set and clear bits of `active`; only kvsim writes them."""
        self["active"] = (self["active"] | on) & ~off

    def begin(self, bit: int, rule: dict[str, int], counters: tuple[str, ...]) -> None:
        """Set the counters to zero, write the rule, then switch it on."""
        for name, value in {**dict.fromkeys(counters, 0), **rule}.items():
            self[name] = value
        self.switch(on=bit)

    def close(self) -> None:
        self._map.close()
