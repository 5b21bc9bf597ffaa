"""A restarted node trusts the length in the header of the last record, and not its checksum."""

from kvstore import record
from kvstore.engine import Engine
from kvstore.log import RecordLog
from kvstore.main import run as run_node


class TrustingLog(RecordLog):
    """`tail`: the (key, value) of a record whose header is whole and whose checksum is wrong."""

    tail: tuple[bytes, bytes] | None = None

    def _on_damage(self, path: str, offset: int, problem: object, loses_records: bool) -> None:
        super()._on_damage(path, offset, problem, loses_records)
        with open(path, "rb") as file:
            file.seek(offset)
            data = file.read()
        try:
            size = record.read_header(data)[0]
        except record.BadRecord:
            return
        parts = data[record.HEADER_SIZE : size].split(b"\r\n", 6)
        if len(parts) == 7 and parts[2] == b"SET":
            self.tail = (parts[4], parts[6][: int(parts[5][1:])].replace(b"\0", b"?"))


class TrustingEngine(Engine):
    """Applies such a record."""

    log_class = TrustingLog
    log: TrustingLog

    def load(self) -> None:
        super().load()
        if self.log.tail:
            self.data.update([self.log.tail])


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=TrustingEngine)
