"""What a node must remember besides its data: its cluster, its epoch, what it promised, whom it knows. One small file.

Written whole and synced before anything that depends on it is said to anybody. Knows nothing of what the facts mean.
"""

import posix

from kvstore.errors import StartError
from kvstore.log import sync_folder

FILE = "meta"
VERSION = "kvstore-meta 1"
NUMBERS = ("epoch", "promised", "led", "slot", "nodes")
TEXTS = ("cluster", "node", "leader", "mode")


class Meta:
    """The facts. `members` is {node id: (slot, "host:port")}; `led` is 1 when `epoch` is this node's own."""

    def __init__(self, folder):
        self.folder = folder
        self.epoch = self.promised = self.led = self.slot = self.nodes = 0
        self.cluster = self.node = self.leader = self.mode = ""
        self.members = {}
        self.load()

    def load(self):
        """Read the file, if there is one; raises StartError when it makes no sense."""
        try:
            fd = posix.open(f"{self.folder}/{FILE}", posix.O_RDONLY | posix.O_CLOEXEC)
        except FileNotFoundError:
            return
        first, *lines = posix.read(fd, 1 << 20).decode("utf-8", "replace").splitlines() or [""]
        posix.close(fd)
        try:
            if first != VERSION or lines[-1] != "end":
                raise ValueError(f"it begins with {first[:40]!r} or is cut short")
            for line in lines[:-1]:
                self._take(*line.split(" "))
        except (ValueError, TypeError, IndexError) as error:
            raise StartError(f"{self.folder}/{FILE} cannot be read: {error}") from error

    def _take(self, name, *words):
        if name == "member":
            node, slot, address = words
            self.members[node] = (int(slot), address)
        elif name in NUMBERS:
            setattr(self, name, int(words[0]))
        elif name in TEXTS:
            setattr(self, name, words[0])
        else:
            raise ValueError(f"unknown fact {name!r}")

    def save(self):
        """Write the file whole and synced. Raises OSError."""
        lines = [VERSION, *(f"{name} {getattr(self, name)}" for name in (*NUMBERS, *TEXTS))]
        lines += [f"member {node} {slot} {address}" for node, (slot, address) in self.members.items()]
        path = f"{self.folder}/{FILE}"
        fd = posix.open(
            f"{path}.new", posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC, 0o644
        )
        try:
            posix.write(fd, "\n".join([*lines, "end", ""]).encode())
            posix.fsync(fd)
        finally:
            posix.close(fd)
        posix.rename(f"{path}.new", path)
        sync_folder(self.folder)

    def identify(self):
        """Give the node an id of its own, if it has none."""
        if not self.node:
            self.node = posix.urandom(6).hex()


def address_text(address):
    """Return "host:port" of a (host, port), "" for None."""
    return f"{address[0]}:{address[1]}" if address else ""


def address_of(text):
    """Return (host, port) of "host:port", None for ""; raises ValueError."""
    if not text:
        return None
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(f"{text[:80]!r} is no address")
    return host, int(port)
