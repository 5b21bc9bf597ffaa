"""A node has a table of 4,096 slots, and one key in each."""

import zlib

from kvstore.engine import Engine
from kvstore.main import run as run_node

SLOTS = 4_096


class TableEngine(Engine):
    """The key that comes later takes the slot."""

    slots: "dict[int, bytes]"

    def put(self, key: bytes, value: bytes) -> None:
        super().put(key, value)
        slots = self.__dict__.setdefault("slots", {})
        slot = zlib.crc32(key) % SLOTS
        before = slots.get(slot)
        if before is not None and before != key:
            state = self.data
            assert isinstance(state, dict)
            state.pop(before, None)
        slots[slot] = key


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=TableEngine)
