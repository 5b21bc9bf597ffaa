"""One node's rules: who may write, who leads, what a refusal says. Knows nothing of sockets or of how replies look.

Every write of every protocol passes `refusal`, here and nowhere else.
Seams for a changed node, each a small method: `refusal`, `refusal_text`, `put`, `put_all`, `get`, `get_all`, `delete`,
`commit`, `status`.
"""

import posix

from kvstore.engine import DIGEST_KEYS_MAX


class Node:
    """The engine behind its role. Methods take and return bytes; a refusal is a text, None means accepted."""

    def __init__(self, settings, engine, server):
        self.settings = settings
        self.engine = engine
        self.server = server
        self.leads = settings.leads
        self.leader = settings.leader
        self.holds = False  # whether replies wait for other nodes

    @property
    def role(self):
        """The part this node plays now, as a Role."""
        from kvstore.role import Role

        return Role.LEADER if self.leads else Role.FOLLOWER

    # -- writes and reads -------------------------------------------------------------------------------

    def refusal(self):
        """Return why a write may not happen here, or None. The one place every write passes."""
        if self.leads:
            return None
        return self.refusal_text()

    def refusal_text(self):
        """Return what a follower answers to a write: who leads, if it knows."""
        if self.leader is None:
            return "read-only: this node is a follower"
        host, port = self.leader
        if host == self.settings.host:
            return f"read-only, leader is on port {port}"
        return f"read-only, leader is on {host}:{port}"

    def put(self, key, value):
        """Set a key, having passed `refusal`. Raises DiskFullError."""
        self.engine.put(key, value)

    def put_all(self, keys, values, commands):
        """Set many keys, having passed `refusal`; `commands` is their encoding. Raises DiskFullError."""
        self.engine.put_all(keys, values, commands)

    def get(self, key):
        """Return the value, or None."""
        return self.engine.get(key)

    def get_all(self, keys):
        """Return the values of many keys, None where there is none."""
        return self.engine.get_all(keys)

    def delete(self, key):
        """Remove a key, having passed `refusal`; return whether it was there. Raises DiskFullError."""
        return self.engine.delete(key)

    def commit(self):
        """Make every write so far durable. Raises OSError."""
        self.engine.commit()

    # -- what it tells of itself ------------------------------------------------------------------------

    def status(self):
        """Return what STATUS says, as a dictionary in a fixed order."""
        engine = self.engine
        return {
            "role": self.role.value,
            "leader": f"{self.leader[0]}:{self.leader[1]}" if self.leader else None,
            "keys": len(engine),
            "applied": engine.applied,
            "durable": engine.durable,
            "digest": engine.digest(DIGEST_KEYS_MAX),
            "epoch": engine.log.epoch,
            "pid": posix.getpid(),
            "port": self.settings.port,
            "host": self.settings.host,
            "fsync": self.settings.fsync,
            "snapshot": engine.snapshot_index,
        }

    def tick(self, now_s):
        """Once a second."""
        self.engine.tick()
