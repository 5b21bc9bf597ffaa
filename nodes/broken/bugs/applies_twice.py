"""A follower applies every write of its leader a second time, after the next write."""

from kvstore.main import run as run_node

from broken.overrides import ReplicationEngine


class RepeatingEngine(ReplicationEngine):
    """Applies the previous record again after each record."""

    previous: bytes | None = None

    def apply_payload(self, payload: bytes) -> None:
        super().apply_payload(payload)
        if self.previous is not None:
            super().apply_payload(self.previous)
        self.previous = payload


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=RepeatingEngine)
