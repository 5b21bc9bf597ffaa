"""What a node remembers besides its data: one small file.

It holds the cluster, the term, the promised term and the members. It is written whole and synced
before any message that depends on it is sent. Does not know what the facts mean.
"""

import posix

from kvstore.errors import StartError
from kvstore.log import sync_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Members

FILE = "meta"
VERSION = "kvstore-meta 2"
NUMBERS = ("term", "promised", "led", "slot", "nodes")
TEXTS = ("cluster", "node", "leader", "mode", "vote", "configuration")


class Meta:
    """The facts.

    `term`: the term that this node leads (`led` is 1) or follows. `promised`: the highest term that
    it knows; it follows no leader of a lower term. `node`: its node id. `leader`: the peer name of
    the last known leader. `vote`: the peer name for which it voted in the promised term, with
    --elect. `configuration`: `INDEX:MEMBERS`, the newest that a snapshot has replaced. `mode` and
    `nodes`: the replication mode and the size of the cluster. `members`: {node id: (slot, peer
    name)}.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.term = self.promised = self.led = self.slot = self.nodes = 0
        self.cluster = self.node = self.leader = self.mode = self.vote = self.configuration = ""
        self.members: Members = {}
        self.load()

    def load(self) -> None:
        """Read the file, if it exists; raises StartError if it cannot be parsed."""
        try:
            fd = posix.open(f"{self.folder}/{FILE}", posix.O_RDONLY | posix.O_CLOEXEC)
        except FileNotFoundError:
            return
        text = posix.read(fd, 1 << 20).decode("utf-8", "replace")
        posix.close(fd)
        first, *lines = text.splitlines() or [""]
        try:
            if first != VERSION or lines[-1] != "end":
                raise ValueError(f"it begins with {first[:40]!r} or is cut short")
            for line in lines[:-1]:
                self._set(*line.split(" "))
        except (ValueError, TypeError, IndexError) as error:
            raise StartError(f"{self.folder}/{FILE} cannot be read: {error}") from error

    def _set(self, name: str, *values: str) -> None:
        if name == "member":
            node_id, slot, peer_name = values
            self.members[node_id] = (int(slot), peer_name)
        elif name in NUMBERS:
            setattr(self, name, int(values[0]))
        elif name in TEXTS:
            setattr(self, name, values[0])
        else:
            raise ValueError(f"unknown fact {name!r}")

    def update(self, **facts: str | int) -> None:
        """Set these facts, and save if one of them changed.

        Raises OSError; then nothing is changed.
        """
        before = {name: getattr(self, name) for name in facts}
        if before == facts:
            return
        self.__dict__.update(facts)
        try:
            self.save()
        except OSError:
            self.__dict__.update(before)
            raise

    def save(self) -> None:
        """Write the file whole and synced. Raises OSError."""
        lines = [VERSION, *(f"{name} {getattr(self, name)}" for name in (*NUMBERS, *TEXTS))]
        for node_id, (slot, peer_name) in self.members.items():
            lines.append(f"member {node_id} {slot} {peer_name}")
        path = f"{self.folder}/{FILE}"
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
        fd = posix.open(f"{path}.new", flags, 0o644)
        try:
            posix.write(fd, "\n".join([*lines, "end", ""]).encode())
            posix.fsync(fd)
        finally:
            posix.close(fd)
        posix.rename(f"{path}.new", path)
        sync_folder(self.folder)


def new_id() -> str:
    """Return a random id for a node or a cluster."""
    return posix.urandom(6).hex()
