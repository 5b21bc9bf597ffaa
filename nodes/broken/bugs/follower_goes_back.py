"""A follower sometimes answers a read with an older value than it returned before."""

from kvstore import record
from kvstore.main import run as run_node

from broken.overrides import ReplicationEngine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

EVERY = 10


class OldValueEngine(ReplicationEngine):
    """Keeps the previous value of each key, and returns it for one read in ten."""

    count = 0

    def __init__(self, *args: "Any") -> None:
        self.previous: dict[bytes, bytes] = {}
        super().__init__(*args)

    def apply_payload(self, payload: bytes) -> None:
        for key, _ in record.decode_commands(payload):
            if key in self.data:
                self.previous[key] = self.data[key]
        super().apply_payload(payload)

    def get(self, key: bytes) -> bytes | None:
        self.count += 1
        value = self.data.get(key)
        return self.previous.get(key, value) if self.count % EVERY == 0 else value


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=OldValueEngine)
