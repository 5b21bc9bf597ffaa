"""The keys and values of a large snapshot, decoded when they are needed.

The engine uses it as its dictionary from the start until every chunk is decoded. An access by key
decodes the chunk to which the key belongs, so a reader gets the same answers. The node decodes the
other chunks, one in each turn of its loop. This module is imported for a large snapshot only.
"""

from _bisect import bisect_right
from _operator import not_
from itertools import compress, islice, repeat

from kvstore.errors import UnreadableFileError
from kvstore.snapshot import BadSnapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, KeysView

    from kvstore.snapshot import SnapshotFile

# to look up the chunks of so many keys takes as long as to decode one chunk
LOOKUPS_PER_CHUNK = 500


class LazyState:
    """{key: value}, with the methods of a dictionary that the engine uses.

    `data`: the keys of the decoded chunks, and those that were set since the start. `unread_keys`:
    how many keys the chunks have that are not decoded. `set_keys`: the keys that came into `data`
    by a write, and that may be in such a chunk, too. Only `len` has to know whether they are.

    Each method raises UnreadableFileError if a chunk is not what it was at the start.
    """

    def __init__(self, file: "SnapshotFile") -> None:
        self.file = file
        self.data: dict[bytes, bytes] = {}
        self.unread = [True] * len(file.chunks)
        self.unread_keys = file.keys
        self.next = 0
        self.set_keys: list[bytes] = []

    # -- decoding --------------------------------------------------------------------------------

    def decode_next(self) -> bool:
        """Decode one more chunk; return whether more are left."""
        while self.next < len(self.unread):
            if self.unread[self.next]:
                self._decode_chunk(self.next)
                return True
            self.next += 1
        return False

    def decode_all(self) -> dict[bytes, bytes]:
        """Decode every chunk; return the whole state."""
        while self.decode_next():
            pass
        return self.data

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def _decode_chunk(self, number: int) -> None:
        try:
            keys, values = self.file.read_chunk(number)
        except (BadSnapshot, OSError) as error:
            raise UnreadableFileError(
                f"{self.file.path} has changed since the start: {error}"
            ) from error
        # what was written since the start is newer than the chunk
        are_new = map(not_, map(self.data.__contains__, keys))
        self.data.update(compress(zip(keys, values, strict=True), are_new))
        self.unread[number] = False
        self.unread_keys -= len(keys)

    def _decode_chunk_of(self, key: bytes) -> None:
        """Decode the only chunk that can hold this key."""
        number = bisect_right(self.file.first_keys, key) - 1
        if number >= 0 and self.unread[number]:
            self._decode_chunk(number)

    def _decode_chunks_of_set_keys(self) -> None:
        """Decode each chunk that can hold a key of `set_keys`."""
        if len(self.set_keys) > LOOKUPS_PER_CHUNK * sum(self.unread):
            self.decode_all()
        else:
            numbers = set(map(bisect_right, repeat(self.file.first_keys), self.set_keys))
            for number in sorted(numbers):
                if number and self.unread[number - 1]:
                    self._decode_chunk(number - 1)
        self.set_keys.clear()

    # -- the methods of a dictionary -------------------------------------------------------------

    def __len__(self) -> int:
        self._decode_chunks_of_set_keys()
        return len(self.data) + self.unread_keys

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def __getitem__(self, key: bytes) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None."""
        value = self.data.get(key)
        if value is None:
            self._decode_chunk_of(key)
            value = self.data.get(key)
        return value

    def keys(self) -> "KeysView[bytes]":
        """Return all keys."""
        return self.decode_all().keys()

    def __iter__(self) -> "Iterator[bytes]":
        return iter(self.keys())

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.update([(key, value)])

    def update(self, pairs: "Iterable[tuple[bytes, bytes]]") -> None:
        """Set many keys. Decodes nothing."""
        before = len(self.data)
        self.data.update(pairs)
        # keys that are added are the last keys
        self.set_keys += islice(reversed(self.data), len(self.data) - before)

    def __delitem__(self, key: bytes) -> None:
        self._decode_chunk_of(key)
        del self.data[key]

    def pop(self, key: bytes, default: bytes | None) -> bytes | None:
        """Remove a key; return its value, or the default."""
        self._decode_chunk_of(key)
        return self.data.pop(key, default)
