"""A follower applies the first write of its leader, and none of the later ones."""

from kvstore.main import run as run_node

from broken.overrides import ReplicationEngine


class StoppedEngine(ReplicationEngine):
    """Drops every record after the first."""

    applied = False

    def apply_payload(self, payload: bytes) -> None:
        if not self.applied:
            super().apply_payload(payload)
        self.applied = True


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=StoppedEngine)
