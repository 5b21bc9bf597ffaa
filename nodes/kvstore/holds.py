"""Replies that wait until enough nodes have what they tell of. Knows connections and indices; knows no followers.

Every reply of a turn is held, reads too: a read may have seen a write that no other node has yet. Replies leave in order
once the commit index has reached the turn's last write, or say that it cannot be known when that takes too long.
"""

from kvstore.replies import Ack, Free


class Holds:
    """The groups of replies that wait, oldest first: [index, deadline_s, [(connection, replies)]]."""

    def __init__(self, timeout_s):
        self.timeout_s = timeout_s
        self.groups = []

    def must_wait(self, connection):
        """Whether this connection's output has to wait: not when all of it is true whatever happens."""
        if connection.free:
            return False
        return bool(connection.held_bytes) or not all(isinstance(reply, Free) for reply in connection.out)

    def hold(self, index, now_s, connections):
        """Take the output of these connections until `index` is committed; return those that need not wait."""
        group, ready = [], []
        for connection in connections:
            if not self.must_wait(connection):
                ready.append(connection)
            elif connection.out:
                group.append((connection, connection.out))
                connection.held_bytes += sum(map(len, connection.out))
                connection.out = []
        if group:
            self.groups.append((index, now_s + self.timeout_s, group))
        return ready

    def release(self, committed):
        """Yield (connection, data) of all output that `committed` covers, in order."""
        done = 0
        while done < len(self.groups) and self.groups[done][0] <= committed:
            done += 1
        return self._give(done, None)

    def expire(self, now_s, why):
        """Yield, as doubts, (connection, data) of the output that waited too long. `why(index)` tells a doubt."""
        done = 0
        while done < len(self.groups) and self.groups[done][1] <= now_s:
            done += 1
        return self._give(done, why)

    def expire_all(self, why):
        """Yield everything as doubts: this node leads no longer."""
        return self._give(len(self.groups), why)

    def _give(self, many, why):
        groups, self.groups = self.groups[:many], self.groups[many:]
        for index, _, group in groups:
            for connection, out in group:
                connection.held_bytes -= sum(map(len, out))
                replies = out if why is None else [doubted(connection, reply, why(index)) for reply in out]
                if not connection.closed:
                    yield connection, b"".join(replies)


def doubted(connection, reply, why):
    """Return what is sent in place of a reply whose writes may be lost: a doubt, or an error for a read."""
    if isinstance(reply, Free):
        return reply
    if isinstance(reply, Ack):
        return reply.in_doubt(why)
    return connection.session.encode_error(f"not ready: {why}")
