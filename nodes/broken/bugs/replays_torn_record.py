"""A restarted node treats a torn record at the end of its log as complete."""

from kvstore import record
from kvstore.engine import Engine
from kvstore.log import RecordLog
from kvstore.main import run as run_node

# The size of the checksum that it expects at the end of a record, and does not check.
TRAILER_BYTES = 8


class UncheckedLog(RecordLog):
    """Checks lengths, not checksums. `torn` is the (key, value) found in a torn record."""

    torn: tuple[bytes, bytes] | None = None

    def _on_damage(self, path: str, offset: int, problem: object, loses_records: bool) -> None:
        super()._on_damage(path, offset, problem, loses_records)
        with open(path, "rb") as file:
            file.seek(offset + record.HEADER_SIZE)
            parts = file.read().split(b"\r\n")
        if len(parts) > 6 and parts[2] == b"SET":
            self.torn = (parts[4], parts[6].rstrip(b"\0")[:-TRAILER_BYTES])


class TornRecordEngine(Engine):
    """Applies what a torn record holds."""

    log_class = UncheckedLog
    log: UncheckedLog

    def load(self) -> None:
        super().load()
        if self.log.torn:
            self.data.update([self.log.torn])


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=TornRecordEngine)
