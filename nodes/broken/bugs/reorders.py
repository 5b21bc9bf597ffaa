"""A follower applies its leader's writes in pairs, the later write first."""

from kvstore.main import run as run_node

from broken.overrides import ReplicationEngine


class SwappingEngine(ReplicationEngine):
    """Delays every other record until the next record is applied."""

    held_back: bytes | None = None

    def apply_payload(self, payload: bytes) -> None:
        if self.held_back is None:
            self.held_back = payload
            return
        super().apply_payload(payload)
        super().apply_payload(self.held_back)
        self.held_back = None


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=SwappingEngine)
