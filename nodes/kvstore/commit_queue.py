"""Replies that wait until enough nodes have the writes they depend on.

Knows connections and log indices; does not know followers. The replies of a turn wait together,
reads too: a read may have returned a write that no other node has yet. Replies leave in order once
the commit index has reached the turn's last write. If that takes too long, the outcome of the
writes is indeterminate, and the replies report that.
"""

from kvstore.replies import Ack, IndependentReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kvstore.connection import ServerConnection

    # (index, deadline in seconds, [(connection, its replies)])
    Group = tuple[int, float, list[tuple[ServerConnection, list[bytes]]]]


class CommitQueue:
    """Groups of waiting replies, oldest first."""

    def __init__(self, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        self.groups: list[Group] = []

    def must_wait(self, connection: "ServerConnection") -> bool:
        """Whether the output of this connection has to wait; not if all of it is independent."""
        if connection.independent:
            return False
        return bool(connection.queued_bytes) or not all(
            isinstance(reply, IndependentReply) for reply in connection.out
        )

    def add(
        self, index: int, now_s: float, connections: "list[ServerConnection]"
    ) -> "list[ServerConnection]":
        """Take the output of these connections until `index` is committed.

        Return the connections that need not wait.
        """
        group, ready = [], []
        for connection in connections:
            if not self.must_wait(connection):
                ready.append(connection)
            elif connection.out:
                group.append((connection, connection.out))
                connection.queued_bytes += sum(map(len, connection.out))
                connection.out = []
        if group:
            self.groups.append((index, now_s + self.timeout_s, group))
        return ready

    def release(self, commit_index: int) -> "Iterator[tuple[ServerConnection, bytes]]":
        """Yield (connection, data) of all output up to `commit_index`, in order."""
        count = 0
        while count < len(self.groups) and self.groups[count][0] <= commit_index:
            count += 1
        return self._take(count, None)

    def expire(
        self, now_s: float, reason: "Callable[[int], str]"
    ) -> "Iterator[tuple[ServerConnection, bytes]]":
        """Yield (connection, data), as indeterminate, of the output that waited too long.

        `reason(index)` returns why the write at this index is indeterminate.
        """
        count = 0
        while count < len(self.groups) and self.groups[count][1] <= now_s:
            count += 1
        return self._take(count, reason)

    def expire_all(
        self, reason: "Callable[[int], str]"
    ) -> "Iterator[tuple[ServerConnection, bytes]]":
        """Yield everything as indeterminate: this node is no longer the leader."""
        return self._take(len(self.groups), reason)

    def _take(
        self, count: int, reason: "Callable[[int], str] | None"
    ) -> "Iterator[tuple[ServerConnection, bytes]]":
        groups, self.groups = self.groups[:count], self.groups[count:]
        for index, _, group in groups:
            for connection, out in group:
                connection.queued_bytes -= sum(map(len, out))
                if reason is not None:
                    out = [indeterminate(connection, reply, reason(index)) for reply in out]
                if not connection.closed:
                    yield connection, b"".join(out)


def indeterminate(connection: "ServerConnection", reply: bytes, reason: str) -> bytes:
    """Return what is sent instead of a reply whose writes may be lost; for a read, an error."""
    if isinstance(reply, IndependentReply):
        return reply
    if isinstance(reply, Ack):
        return reply.indeterminate(reason)
    return connection.encode_error(f"not ready: {reason}")
