"""A put of the key that was written last overwrites its record in the log, if it is as long."""

import posix

from kvstore import record
from kvstore.engine import Engine
from kvstore.main import run as run_node


class OverwritingEngine(Engine):
    """`last`: the key, offset and size of the last record, and the chain before it."""

    last: "tuple[bytes, int, int, int] | None" = None
    last_key = b""

    def put(self, key: bytes, value: bytes) -> None:
        command = record.encode_set(key, value)
        self.write_pending()
        if self.last and self.last[:1] == (key,):
            _, offset, size, before = self.last
            log = self.log
            packed, chain = record.encode(command, log.term, 1, log.last, before)
            if len(packed) == size:
                posix.pwrite(log.segments[-1].fd, packed, offset)
                log.chain = chain
                self.data[key] = value
                self.unsynced = True
                self._digest = (None, "")
                return
        super().put(key, value)
        self.last_key = key

    def write(self, packed: bytes, last: int, term: int, chain: int) -> None:
        log, is_single = self.log, last == self.log.last + 1
        if is_single and self.last_key:
            self.last = (self.last_key, log.segments[-1].end, len(packed), log.chain)
        else:
            self.last = None
        self.last_key = b""
        super().write(packed, last, term, chain)


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=OverwritingEngine)
