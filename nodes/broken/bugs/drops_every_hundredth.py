"""A follower does not apply every hundredth write of its leader, but counts it in its index."""

from kvstore.main import run as run_node

from broken.overrides import ReplicationEngine


class SkippingEngine(ReplicationEngine):
    """Skips one record in a hundred."""

    count = 0

    def apply_payload(self, payload: bytes) -> None:
        self.count += 1
        if self.count % 100:
            super().apply_payload(payload)


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=SkippingEngine)
