"""A log file gets its name when it is synced for the first time, and its folder is not synced."""

import posix

from kvstore.engine import Engine
from kvstore.log import RecordLog
from kvstore.main import run as run_node
from kvstore.segment import Segment

NEW = "new"


class RenamedLog(RecordLog):
    """New segments are in a folder of their own until they are synced."""

    def roll(self) -> None:
        if self.segments:
            if self.segments[-1].first == self.last + 1:
                return
            self.segments[-1].seal()
            self.sync()
        folder = f"{self.folder}/{NEW}"
        if NEW not in posix.listdir(self.folder):
            posix.mkdir(folder)
        self.segments.append(Segment.create(folder, self.last + 1, self.term, self.chain))

    def sync(self) -> None:
        super().sync()
        for segment in self.segments:
            path = segment.path.replace(f"/{NEW}/", "/")
            if path != segment.path:
                posix.rename(segment.path, path)
                segment.path = path


class RenamingEngine(Engine):
    log_class = RenamedLog


def run(argv: list[str]) -> int:
    return run_node(argv, engine_class=RenamingEngine)
