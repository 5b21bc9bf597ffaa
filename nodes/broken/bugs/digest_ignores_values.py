"""The digest of a node's state depends on its keys only."""

from kvstore.engine import Engine, digest_of
from kvstore.main import run as run_node


class KeyDigestEngine(Engine):
    """Computes the digest with empty values."""

    def digest(self, keys_max: int | None = None) -> str:
        return digest_of(dict.fromkeys(self.data, b""))


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=KeyDigestEngine)
