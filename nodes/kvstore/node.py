"""The rules of one node: who may write, who is the leader, the texts of refusals.

Does not know sockets or the encoding of replies. Every write, in every protocol, passes `refusal`.
What a node does among other nodes is in cluster_member, leader and follower.

Override in a changed node: `refusal`, `refusal_text`, `put`, `put_all`, `get`, `get_all`, `delete`,
`cas`, `commit`, `status`, `from_peer`, `cluster_member_class`.
"""

import posix
from time import monotonic, time

from kvstore.engine import DIGEST_KEYS_MAX
from kvstore.lines import encode_error
from kvstore.replies import DeferredReply, IndependentReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from kvstore.cluster_member import ClusterMember
    from kvstore.commit_queue import CommitQueue
    from kvstore.connection import ServerConnection
    from kvstore.engine import Engine
    from kvstore.flags import Settings
    from kvstore.interfaces import Address, Reply
    from kvstore.server import StoreServer

# a follower connects to its leader this long after it is ready
JOIN_DELAY_S = 0.02


class StoreNode:
    """The engine and its role. Methods take and return bytes.

    `cluster_member`: this node among others, None while it deals with no other node.
    `commit_needs_followers`: replies wait for other nodes, in `commit_queue`. `waiters`: (index,
    deferred reply) of clients that wait until this node has applied the index.
    """

    def __init__(self, settings: "Settings", engine: "Engine", server: "StoreServer") -> None:
        self.settings = settings
        self.engine = engine
        self.server = server
        self.is_leader = settings.is_leader
        self.leader_address: Address | None = settings.leader
        self.commit_needs_followers = False
        self.cluster_member: ClusterMember | None = None
        self.commit_queue: CommitQueue | None = None
        self.expiry_is_due = False
        self.waiters: list[tuple[int, DeferredReply]] = []

    @property
    def role(self) -> str:
        """The role that this node has now, as on the command line and in STATUS."""
        return "leader" if self.is_leader else "follower"

    # -- writes and reads ------------------------------------------------------------------------

    def refusal(self) -> str | None:
        """Return why this node refuses writes, or None. Every write passes here."""
        if self.is_leader:
            return None
        return self.refusal_text()

    def refusal_text(self) -> str:
        """Return what a follower answers to a write: who the leader is, if it knows."""
        if self.leader_address is None:
            return "read-only: this node is a follower"
        host, port = self.leader_address
        if host == self.settings.host:
            return f"read-only, leader is on port {port}"
        return f"read-only, leader is on {host}:{port}"

    def put(self, key: bytes, value: bytes) -> None:
        """Set a key; `refusal` was called before. Raises DiskFullError."""
        self.engine.put(key, value)

    def put_all(self, keys: "Sequence[bytes]", values: "Sequence[bytes]", commands: bytes) -> None:
        """Set many keys, encoded as `commands`; `refusal` was called before.

        Raises DiskFullError.
        """
        self.engine.put_all(keys, values, commands)

    def get(self, key: bytes) -> bytes | None:
        """Return the value, or None."""
        return self.engine.get(key)

    def get_all(self, keys: "Sequence[bytes]") -> list[bytes | None]:
        """Return the values of many keys, None for a key that does not exist."""
        return self.engine.get_all(keys)

    def delete(self, key: bytes) -> bool:
        """Remove a key; return whether it existed. As `put` otherwise."""
        return self.engine.delete(key)

    def cas(self, key: bytes, expected: bytes, value: bytes) -> bytes | None:
        """Set a key that holds `expected`; return what it held. As `put` otherwise."""
        found = self.get(key)
        if found == expected:
            self.put(key, value)
        return found

    def commit(self) -> None:
        """Make every write so far durable, and send it to the followers. Raises OSError."""
        leader = self.cluster_member.leader if self.cluster_member is not None else None
        if leader is None:
            self.engine.commit()
            return
        self.engine.write_pending()
        alone = leader.needed() == 1
        if not alone:
            # before this node's own sync, so that the followers' disks work at the same time
            leader.flush()
        self.engine.commit()
        if alone:
            # after it: no follower may show what a power cut takes from this node
            leader.flush()
        leader.commit()

    # -- replies that wait for other nodes -------------------------------------------------------

    def queue_replies(
        self, now_s: float, connections: "list[ServerConnection]"
    ) -> "list[ServerConnection]":
        """Queue the output of these connections until enough nodes have its writes.

        Return the connections that need not wait.
        """
        leader = self.cluster_member.leader if self.cluster_member is not None else None
        if leader is None or (leader.commit_index >= self.engine.applied and leader.holds_lease()):
            return connections
        if self.commit_queue is None:
            from kvstore.commit_queue import CommitQueue

            self.commit_queue = CommitQueue(self.settings.ack_timeout)
        if not self.expiry_is_due:
            self.expiry_is_due = True
            self.server.timers.after(self.settings.ack_timeout, self.expire_replies)
        return self.commit_queue.add(self.engine.applied, now_s, connections)

    def release_replies(self, commit_index: int) -> None:
        """Send the replies that waited for `commit_index`."""
        if self.commit_queue is not None:
            for connection, data in self.commit_queue.release(commit_index):
                self.server.send_in_order(connection, data)

    def expire_replies(self) -> None:
        """Reply to clients that waited too long: the outcome of their writes is indeterminate."""
        self.expiry_is_due = False
        leader = self.cluster_member.leader if self.cluster_member is not None else None
        if leader is None or self.commit_queue is None:
            return
        for connection, data in self.commit_queue.expire(monotonic(), leader.describe_shortage):
            self.server.send_in_order(connection, data)
        if self.commit_queue.groups:
            self.expiry_is_due = True
            deadline_s = self.commit_queue.groups[0][1]
            self.server.timers.after(max(0.001, deadline_s - monotonic()), self.expire_replies)

    def expire_all_replies(self, reason: str) -> None:
        """Reply to all waiting clients that the outcome of their writes is indeterminate.

        This turn's replies have not left yet: they, too, would have waited.
        """
        if self.commit_queue is not None:
            for connection, data in self.commit_queue.expire_all(lambda index: reason):
                self.server.send_in_order(connection, data)
        if self.commit_needs_followers:
            from kvstore.commit_queue import indeterminate

            for connection in set(self.server.dirty):
                if not connection.independent:
                    connection.out = [
                        indeterminate(connection, reply, reason) for reply in connection.out
                    ]

    # -- other nodes -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to deal with other nodes, if there are any. Raises StartError."""
        settings, log = self.settings, self.engine.log
        self.server.timers.after(0.0, self.load_more)
        replicates = settings.replication not in (None, "none")
        if has_meta(settings.data_dir) or (self.is_leader and (replicates or settings.term)):
            self.join()
        elif self.is_leader:
            log.term = max(log.term, 1)
        elif settings.leader and settings.replication != "none":
            self.server.timers.after(JOIN_DELAY_S, self.join)

    def join(self) -> "ClusterMember":
        """Import and create what deals with other nodes. A node that is alone never needs it."""
        if self.cluster_member is None:
            self.cluster_member = self.cluster_member_class()(self)
            self.cluster_member.start()
        return self.cluster_member

    def cluster_member_class(self) -> "type[ClusterMember]":
        """Return the class that deals with other nodes, imported now and not at the start."""
        from kvstore.cluster_member import ClusterMember

        return ClusterMember

    def promote(self, force: bool) -> "Reply":
        """Become the leader of a new term; return the reply."""
        return self.join().promote(force)

    def from_peer(
        self, connection: "ServerConnection", verb: str, arguments: tuple[bytes, ...]
    ) -> "Reply":
        """Answer another node; return the reply.

        b"" if the connection now carries frames to that node, a follower.
        """
        words = [argument.decode("ascii", "replace") for argument in arguments]
        if self.is_leader and self.cluster_member is None:
            reason = f"this leader does not replicate (--replication=none), so {verb} is refused"
            return IndependentReply(encode_error(reason))
        if verb == "TRANSFER":
            return IndependentReply(encode_error("TRANSFER needs --elect"))
        member = self.join()
        if verb == "FOLLOW":
            problem = member.on_follow(connection, words)
            return IndependentReply(encode_error(problem)) if problem else b""
        problem = member.on_promise(words) if verb == "PROMISE" else member.on_announce(words)
        return IndependentReply(encode_error(problem) if problem else b"OK\n")

    def change_members(self, action: str, peer_name: str, address: str) -> "Reply":
        """Add or remove one member; return the reply."""
        return IndependentReply(encode_error("MEMBER needs --elect"))

    def digest(self) -> "Reply":
        """Reply to DIGEST: the index and the digest of the state."""
        engine = self.engine
        return IndependentReply(f"VALUE {engine.applied} {engine.digest()}\n".encode())

    def wait(self, index: int, timeout_s: float) -> "Reply":
        """Reply OK once this node has applied `index`, or an error after `timeout_s`."""
        if self.engine.applied >= index:
            return IndependentReply(b"OK\n")
        deferred = DeferredReply()
        self.waiters.append((index, deferred))
        self.server.timers.after(timeout_s, lambda: self.expire_wait(index, deferred))
        return deferred

    def expire_wait(self, index: int, deferred: DeferredReply) -> None:
        """Reply to a client whose WAIT took too long. No effect if it has its reply."""
        applied = self.engine.applied
        deferred.fill(
            encode_error(f"not ready: this node is at index {applied}, not yet at {index}")
        )
        self.waiters = [waiter for waiter in self.waiters if waiter[1] is not deferred]

    def on_applied(self) -> None:
        """Reply to the clients that wait for an index that is now applied."""
        if self.waiters:
            applied = self.engine.applied
            due = [waiter for waiter in self.waiters if waiter[0] <= applied]
            self.waiters = [waiter for waiter in self.waiters if waiter[0] > applied]
            for _, deferred in due:
                deferred.fill(b"OK\n")

    # -- status ----------------------------------------------------------------------------------

    def status(self) -> "dict[str, Any]":
        """Return the contents of STATUS, in a fixed order."""
        engine, address = self.engine, self.leader_address
        status: dict[str, Any] = {
            "role": self.role,
            "leader": f"{address[0]}:{address[1]}" if address else None,
            "keys": len(engine),
            "applied": engine.applied,
            "index": engine.applied,
            "durable": engine.durable,
            "digest": engine.digest(DIGEST_KEYS_MAX),
            "term": engine.log.term,
            "pid": posix.getpid(),
            "port": self.settings.port,
            "host": self.settings.host,
            "fsync": self.settings.fsync,
            "snapshot": engine.snapshot_index,
            "time": round(time(), 3),
            "replication": "none",
            "followers": [],
            "linked": False,
        }
        return status if self.cluster_member is None else status | self.cluster_member.status()

    def load_more(self) -> None:
        """Load what the start has left for later, a little in each turn. Raises OSError."""
        if self.engine.load_more():
            self.server.timers.after(0.0, self.load_more)

    def tick(self) -> None:
        """Called once a second. Raises OSError."""
        self.engine.tick()


def has_meta(folder: str) -> bool:
    """Whether the node of this data directory has dealt with other nodes before."""
    try:
        posix.stat(f"{folder}/meta")
    except FileNotFoundError:
        return False
    return True
