"""One node's rules: who may write, who leads, what a refusal says. Knows nothing of sockets or of how replies
look.

Every write of every protocol passes `refusal`, here and nowhere else.
Seams for a changed node, each a small method: `refusal`, `refusal_text`, `put`, `get`, `delete`, `status`.
"""


class Node:
    """The engine behind its role. Methods take and return bytes; a refusal is a text, None means accepted."""

    def __init__(self, settings, engine):
        self.settings = settings
        self.engine = engine
        self.leads = settings.leads
        self.leader = settings.leader

    @property
    def role(self):
        """The part this node plays now, as a Role."""
        from kvstore.role import Role

        return Role.LEADER if self.leads else Role.FOLLOWER

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
        """Set a key, having passed `refusal`."""
        self.engine.put(key, value)

    def get(self, key):
        """Return the value, or None."""
        return self.engine.get(key)

    def delete(self, key):
        """Remove a key, having passed `refusal`; return whether it was there."""
        return self.engine.delete(key)

    def status(self):
        """Return what STATUS says, as a dictionary in a fixed order."""
        import posix

        return {
            "role": self.role.value,
            "leader": f"{self.leader[0]}:{self.leader[1]}" if self.leader else None,
            "keys": len(self.engine),
            "applied": self.engine.applied,
            "digest": self.engine.digest(),
            "epoch": self.engine.log.epoch,
            "pid": posix.getpid(),
            "port": self.settings.port,
            "host": self.settings.host,
            "replication": "none",
        }

    def commit(self):
        """Make every write so far durable. Raises OSError."""
        self.engine.commit()
