"""The rules of one node with `--elect`: who may write, what a read may show, STATUS.

What it does among other nodes is in elected_member.

Override in a changed node: as in node, and `reads_wait`.
"""

from kvstore.engine import DIGEST_KEYS_MAX
from kvstore.lines import encode_error
from kvstore.node import StoreNode
from kvstore.replies import IndependentReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kvstore.committed_engine import CommittedEngine
    from kvstore.connection import ServerConnection
    from kvstore.elected_member import ElectedMember
    from kvstore.interfaces import Reply

NO_COMMIT_INDEX = "this node does not know yet what is committed"
FORCED = "PROMOTE FORCE cannot be used with --elect: a majority chooses the leader"


class ElectedNode(StoreNode):
    """A node whose role changes by election."""

    engine: "CommittedEngine"
    cluster_member: "ElectedMember"

    @property
    def role(self) -> str:
        """The role in STATUS: leader, follower, or candidate."""
        if self.cluster_member.is_candidate:
            return "candidate"
        return super().role

    def start(self) -> None:
        """Begin as a follower. Raises StartError."""
        self.commit_needs_followers = True
        self.server.timers.after(0.0, self.load_more)
        self.join()

    def cluster_member_class(self) -> "type[ElectedMember]":
        """Return the class that deals with other nodes."""
        from kvstore.elected_member import ElectedMember

        return ElectedMember

    # -- writes and reads ------------------------------------------------------------------------

    def refusal(self) -> str | None:
        """Return why this node refuses writes, or None."""
        if self.is_leader and self.cluster_member.transfer is not None:
            return "not ready: leadership is being transferred"
        return super().refusal()

    def refusal_text(self) -> str:
        """Return what a node that does not lead answers to a write."""
        if self.leader_address is None:
            return "not ready: no leader is known"
        return super().refusal_text()

    def queue_replies(
        self, now_s: float, connections: "list[ServerConnection]"
    ) -> "list[ServerConnection]":
        """Queue the output of these connections until what it shows is committed.

        A follower that does not know what is committed has nothing to show. Return the connections
        that need not wait.
        """
        if self.cluster_member.leader is not None:
            return super().queue_replies(now_s, connections)
        if not self.engine.commit_is_known:
            self.hide_values(connections, NO_COMMIT_INDEX)
        return connections

    def hide_values(self, connections: "list[ServerConnection]", reason: str) -> None:
        """Replace what these connections would show by an error.

        Replies of this turn were read from a state that is not this node's any more.
        """
        for connection in connections:
            if not connection.independent:
                connection.out = [hide_value(connection, reply, reason) for reply in connection.out]

    def change_members(self, action: str, peer_name: str, address: str) -> "Reply":
        """Add or remove one member; return the reply."""
        reason = self.refusal()
        if reason is not None:
            return IndependentReply(encode_error(reason))
        return self.cluster_member.change_members(action, peer_name, address)

    # -- other nodes -----------------------------------------------------------------------------

    def promote(self, force: bool) -> "Reply":
        """Become the leader by a transfer of leadership; return the reply."""
        if force:
            return IndependentReply(encode_error(FORCED))
        return self.cluster_member.promote(force)

    def from_peer(
        self, connection: "ServerConnection", verb: str, arguments: tuple[bytes, ...]
    ) -> "Reply":
        """Answer another node; return the reply."""
        if verb == "TRANSFER":
            words = [argument.decode("ascii", "replace") for argument in arguments]
            return self.cluster_member.on_transfer(words)
        return super().from_peer(connection, verb, arguments)

    def digest(self) -> "Reply":
        """Reply to DIGEST; on a leader, the reply waits until what it shows is committed."""
        return bytes(super().digest())  # type: ignore[arg-type]

    def wait(self, index: int, timeout_s: float) -> "Reply":
        """Reply OK once this node has applied `index`, and it is committed."""
        reply = super().wait(index, timeout_s)
        return bytes(reply) if isinstance(reply, IndependentReply) else reply

    # -- status ----------------------------------------------------------------------------------

    def status(self) -> "dict[str, Any]":
        """Return the contents of STATUS. What is not known is None."""
        engine, member = self.engine, self.cluster_member
        known = engine.commit_is_known
        committed = engine.commit_index if known else None
        status = super().status() | {
            "elects": True,
            "leader": member.leader_text(),
            "leader_name": member.leader_name or None,
            "vote": member.meta.vote or None,
            "keys": len(engine) if known else None,
            "committed": committed,
            "applied": committed,
            "index": committed,
            "digest": engine.digest(DIGEST_KEYS_MAX) if engine.all_is_committed else None,
            "last_index": engine.log.last,
            "last_term": engine.log.term,
            "chain": f"{engine.log.chain:08x}",
            "members": list(member.voters),
            "nodes": len(member.voters),
        }
        del status["promised"]
        return status


def hide_value(connection: "ServerConnection", reply: bytes, reason: str) -> bytes:
    """Return a reply as it is if it is an error or depends on no state; otherwise an error."""
    if isinstance(reply, IndependentReply) or reply.startswith((b"ERR ", b"-")):
        return reply
    return IndependentReply(connection.encode_error(f"not ready: {reason}"))
