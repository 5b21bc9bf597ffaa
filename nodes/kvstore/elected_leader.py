"""The leader's side of replication with `--elect`: Raft's commit rule, lease and check of quorum.

Override in a changed leader: as in leader, and `counts`, `needed`, `holds_lease`, `check_quorum`.
"""

from time import monotonic

from kvstore import frames
from kvstore.leader import FollowerLink, Leader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kvstore.committed_engine import CommittedEngine
    from kvstore.connection import ServerConnection
    from kvstore.elected_member import ElectedMember
    from kvstore.node import StoreNode

HEARTBEATS_A_TIMEOUT = 5
# of the election timeout: the rest is for clocks that do not run equally fast
LEASE = 0.8
# a leader that reached no majority for so many election timeouts steps down
QUORUM_TIMEOUTS = 2
# an idle leader tells what is committed after this time; a busy leader, with its next records
COMMIT_DELAY_S = 0.02


class ElectedLeader(Leader):
    """A leader by election. `term_start`: the index of the no-op of its term. `quorum_s`: when the
    last heartbeats that a majority received were sent. `sent_commit`: {link: commit index sent}.
    """

    engine: "CommittedEngine"
    member: "ElectedMember"

    def __init__(self, node: "StoreNode", member: "ElectedMember", term_start: int) -> None:
        self.heartbeat_every_s = member.timeout_s / HEARTBEATS_A_TIMEOUT
        self.term_start = term_start
        self.quorum_s = monotonic()
        self.commit_frame_is_due = False
        self.sent_commit: dict[FollowerLink, int] = {}
        super().__init__(node, member)
        self.commit_index = self.engine.commit_index

    # -- what is committed -----------------------------------------------------------------------

    def needed(self) -> int:
        """Return how many members are a majority."""
        return len(self.member.voters) // 2 + 1

    def counts(self, peer_name: str) -> bool:
        """Whether the copy of this node counts: it is a member."""
        return peer_name in self.member.voters

    def voter_links(self) -> "list[FollowerLink]":
        """Return the links of members."""
        return [link for link in self.links if self.counts(link.peer_name)]

    def replicated_index(self) -> int:
        """Return the index that a majority has, 0 if it is of an older term.

        Copies of older terms are not counted (section 5.4.2 of the paper): a record of an older
        term is committed when one of this term after it is.
        """
        indices = [link.match_index for link in self.voter_links()]
        if self.counts(self.member.peers.own_name):
            indices.append(self.engine.durable)
        needed = self.needed()
        if len(indices) < needed:
            return 0
        index = sorted(indices, reverse=True)[needed - 1]
        return index if self.is_own_term(index) else 0

    def is_own_term(self, index: int) -> bool:
        """Whether the record at this index is of this leader's term."""
        return index >= self.term_start

    def on_committed(self) -> None:
        """Tell the followers soon."""
        self.engine.advance(self.commit_index)
        self.member.on_committed(self.commit_index)
        if not self.commit_frame_is_due:
            self.commit_frame_is_due = True
            self.server.timers.after(COMMIT_DELAY_S, self.send_commit_index)

    def known_commit_index(self) -> int:
        """Return the commit index, 0 until a record of this term is committed."""
        return self.commit_index if self.is_own_term(self.commit_index) else 0

    def send_commit_index(self) -> None:
        """Send the commit index to the followers that keep up and do not know it yet."""
        self.commit_frame_is_due = False
        index = self.known_commit_index()
        for link in [] if self.closed else self.links:
            if link.live and self.sent_commit.get(link, 0) < index:
                self.sent_commit[link] = index
                link.send(b"C", frames.COMMIT.pack(index))

    def flush(self) -> None:
        """Send what was pushed, and the commit index with it."""
        index = self.known_commit_index()
        for link in self.links:
            if link.connection.out and link.live and self.sent_commit.get(link, 0) < index:
                self.sent_commit[link] = index
                link.connection.out.append(frames.encode(b"C", frames.COMMIT.pack(index)))
        super().flush()

    # -- who is there ----------------------------------------------------------------------------

    def majority_heartbeat_s(self) -> float:
        """Return when the last heartbeats that a majority received were sent; 0 without one."""
        others = self.needed() - self.counts(self.member.peers.own_name)
        if others <= 0:
            return monotonic()
        received = sorted([link.heartbeat_s for link in self.voter_links()], reverse=True)
        return received[others - 1] if len(received) >= others else 0.0

    def holds_lease(self) -> bool:
        """Whether no other node can be leader yet: no member of a majority votes so early."""
        return monotonic() < self.majority_heartbeat_s() + LEASE * self.member.timeout_s

    def send_heartbeats(self) -> None:
        """Send heartbeats, announce this leader to members without a link, check the quorum."""
        super().send_heartbeats()
        if not self.closed:
            self.member.announce()
            self.check_quorum()

    def check_quorum(self) -> None:
        """Step down if no majority received a heartbeat for too long."""
        self.quorum_s = max(self.quorum_s, self.majority_heartbeat_s())
        silent_s = monotonic() - self.quorum_s
        if silent_s > QUORUM_TIMEOUTS * self.member.timeout_s:
            self.member.resign(f"no majority answered for {silent_s:.2f} s")

    def send_heartbeat(self, link: FollowerLink) -> None:
        """Send one follower what is committed, the end of the log, the term and this clock."""
        last, term = self.engine.log.last, self.member.meta.promised
        link.send(b"H", frames.HEARTBEAT.pack(self.known_commit_index(), last, term, monotonic()))

    def admit(
        self, connection: "ServerConnection", node_id: str, peer_name: str, index: int, chain: int
    ) -> None:
        """Add a follower; a name counts once."""
        for link in [link for link in self.links if link.peer_name == peer_name]:
            self.server.drop(link.connection)
        super().admit(connection, node_id, peer_name, index, chain)

    def on_acknowledged(self, link: FollowerLink) -> None:
        """A follower has more than before, or received a heartbeat."""
        super().on_acknowledged(link)
        if not self.closed:
            self.member.on_acknowledged(link)

    def on_disconnected(self, link: FollowerLink) -> None:
        """A follower's connection is closed."""
        self.sent_commit.pop(link, None)
        super().on_disconnected(link)

    def send_members_to(self, link: FollowerLink) -> None:
        """Send one follower the configuration that is no longer in the log."""
        if self.member.meta.configuration:
            link.send(b"M", self.member.meta.configuration.encode())

    def status(self) -> "list[dict[str, Any]]":
        """Return the part of STATUS that is about the followers."""
        return [
            row | {"name": link.peer_name, "voter": self.counts(link.peer_name)}
            for row, link in zip(super().status(), self.links, strict=True)
        ]
