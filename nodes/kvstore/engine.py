"""The state of one node: a dictionary in memory, and a log from which it comes back after a restart.

The interface is small (get, put, delete, commit, digest, len, close), so that another engine, or a broken
one, can take its place by overriding one method. Writes are applied at once and gathered; `commit` makes
everything gathered durable in one record, and only then may their replies leave. Knows nothing of roles,
sockets or replies.
"""

from kvstore import record
from kvstore.log import Log


class Engine:
    """Keys and values as bytes. Not thread-safe: one loop owns it."""

    def __init__(self, folder):
        self.data = {}
        self.log = Log(folder)
        self.pending = []
        self._digest = (None, "")
        for payload in self.log.replay():
            self.replay(payload)

    def replay(self, payload):
        """Apply one record from the log."""
        for key, value in record.commands(payload):
            if value is None:
                self.data.pop(key, None)
            else:
                self.data[key] = value

    def __len__(self):
        return len(self.data)

    @property
    def applied(self):
        """Index of the last command the state shows; 0 for an empty history."""
        return self.log.last + len(self.pending)

    def get(self, key):
        """Return the value, or None."""
        return self.data.get(key)

    def put(self, key, value):
        """Set a key. Durable after the next commit."""
        self.data[key] = value
        self.pending.append(record.encode_set(key, value))

    def delete(self, key):
        """Remove a key; return whether it was there. Durable after the next commit."""
        if key not in self.data:
            return False
        del self.data[key]
        self.pending.append(record.encode_delete(key))
        return True

    def commit(self):
        """Make every write since the last commit durable, as one record. Raises OSError."""
        if self.pending:
            self.log.append(b"".join(self.pending), len(self.pending))
            self.pending.clear()

    def digest(self):
        """Return 16 hex letters that depend on every key and value and on nothing else; cached until the next
        write.
        """
        if self._digest[0] != self.applied:
            self._digest = (self.applied, digest_of(self.data))
        return self._digest[1]

    def close(self):
        """Commit and close the log."""
        self.commit()
        self.log.close()


def digest_of(data):
    """Return 16 hex letters for a {key: value} of bytes: BLAKE2b over the sorted items, each with its
    lengths.
    """
    from _blake2 import blake2b

    total = blake2b(digest_size=8)
    for key in sorted(data):
        total.update(record.encode_set(key, data[key]))
    return total.hexdigest()
