"""The follower's side of replication with `--elect`.

Override in a changed follower: as in follower, and `on_commit_index`.
"""

from kvstore import frames
from kvstore.elected_node import NO_COMMIT_INDEX
from kvstore.follower import Follower

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kvstore.committed_engine import CommittedEngine
    from kvstore.elected_member import ElectedMember
    from kvstore.elected_node import ElectedNode
    from kvstore.interfaces import Address


class ElectedFollower(Follower):
    """The link to an elected leader."""

    engine: "CommittedEngine"
    member: "ElectedMember"
    node: "ElectedNode"

    def __init__(
        self, node: "ElectedNode", member: "ElectedMember", addresses: "list[Address]"
    ) -> None:
        self.silence_s_max = 2 * member.timeout_s
        self.pause_s_max = member.timeout_s
        super().__init__(node, member, addresses)

    def feed(self, data: bytes) -> bytes:
        """Handle the greeting and the frames of the leader."""
        if self.greeted:
            self.member.on_leader_heard(self.address)
        return super().feed(data)

    def on_heartbeat(self, body: bytes) -> None:
        """Record the leader's indices and clock, and acknowledge."""
        index, self.leader_index, _, self.heartbeat_s = frames.unpack(frames.HEARTBEAT, body)
        self.on_commit_index(index)
        self.acknowledge()

    def on_commit(self, body: bytes) -> None:
        """Record what is committed."""
        self.on_commit_index(*frames.unpack(frames.COMMIT, body))

    def on_commit_index(self, index: int) -> None:
        """Apply what is committed, as far as this node has it; 0 is not known."""
        if index and self.aligned:
            self.commit_index = index
            if not self.engine.commit_is_known:
                # what clients read in this turn is older than what this node has shown before
                self.node.hide_values(self.server.dirty, NO_COMMIT_INDEX)
            self.engine.advance(min(index, self.engine.log.last))
            self.node.on_applied()

    def on_configuration(self, body: bytes) -> None:
        """Remember the configuration that is no longer in the leader's log."""
        self.member.remember_configuration(body.decode("ascii", "replace"))

    HANDLERS: "dict[bytes, Callable[[Follower, bytes], None]]" = {  # noqa: RUF012
        **Follower.HANDLERS,
        b"H": on_heartbeat,  # type: ignore[dict-item]
        b"C": on_commit,  # type: ignore[dict-item]
        b"M": on_configuration,  # type: ignore[dict-item]
    }
