"""A node that comes back after a crash takes a torn record at the end of its log for a whole one."""

from kvstore import record
from kvstore.engine import Engine
from kvstore.log import Log
from kvstore.main import run as run_node

TRAILER_BYTES = 8  # what it takes to be a checksum at the end of a record, and does not look at


class Trusting(Log):
    """Looks at lengths, not at checksums."""

    torn = None  # (key, value) that was found in the torn record

    def _damaged(self, path, offset, error, lost):
        super()._damaged(path, offset, error, lost)
        with open(path, "rb") as file:
            file.seek(offset + record.HEADER_SIZE)
            words = file.read().split(b"\r\n")
        if len(words) > 6 and words[2] == b"SET":
            self.torn = (words[4], words[6].rstrip(b"\0")[:-TRAILER_BYTES])


class Careless(Engine):
    """Shows what it found there."""

    log_class = Trusting

    def load(self):
        super().load()
        if self.log.torn:
            self.data.update([self.log.torn])


def run(argv):
    return run_node(argv, engine_class=Careless)
