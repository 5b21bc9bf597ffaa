"""A delete of the key that was written last cuts its record off the log, and does not sync that."""

from kvstore.engine import Engine
from kvstore.main import run as run_node


class CuttingEngine(Engine):
    """`before`: (end, last index, term, chain) of the log before its last record, and the key of
    that record if it is a single put.
    """

    before: "tuple[tuple[int, int, int, int], bytes] | None" = None
    last_key = b""

    def put(self, key: bytes, value: bytes) -> None:
        super().put(key, value)
        self.last_key = key

    def write(self, packed: bytes, last: int, term: int, chain: int) -> None:
        log, is_single = self.log, last == self.log.last + 1
        position = (log.segments[-1].end, log.last, log.term, log.chain)
        self.before = (position, self.last_key) if is_single and self.last_key else None
        self.last_key = b""
        super().write(packed, last, term, chain)

    def delete(self, key: bytes) -> bool:
        self.commit()
        if self.before is None or self.before[1] != key:
            return super().delete(key)
        (end, last, term, chain), _ = self.before
        self.before = None
        segment = self.log.segments[-1]
        segment.truncate(end)
        segment.last = self.log.last = last
        self.log.term, self.log.chain = term, chain
        self.reserved, self.durable = 0, last
        del self.data[key]
        return True


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=CuttingEngine)
