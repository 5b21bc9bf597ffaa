"""The leader's side of replication: its followers, how far each is, and what is committed.

Does not know clients. A follower that keeps up gets every record as it is written. One that does
not is sent the log from disk, as fast as it reads; so a slow follower takes one bounded buffer.

Override in a changed leader: `needed`, `push`, `on_acknowledged`, `send_heartbeats`, `lag`.
"""

import posix
from time import monotonic

from kvstore import frames, record, snapshot
from kvstore.limits import OUT_BYTES_MAX
from kvstore.peer_addresses import format_address
from kvstore.replies import IndependentReply
from kvstore.segment import RECORDS_AT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from kvstore.cluster_member import ClusterMember
    from kvstore.connection import ServerConnection
    from kvstore.interfaces import Position
    from kvstore.node import StoreNode
    from kvstore.segment import Segment

HEARTBEAT_EVERY_S = 0.25
LEASE_S = 1.0
# a follower from which nothing arrives for this long is dropped
SILENCE_S_MAX = 10.0
SNAPSHOT_PIECE_BYTES = 256 << 10


class FollowerLink:
    """One connected follower: the session of its connection.

    `match_index`: the last index that the follower has. `heartbeat_s`: when the last heartbeat that
    it received was sent, by the leader's clock. `live`: records are pushed as they are written.
    `segment` and `offset`: where the next record for it is in the log.
    """

    def __init__(
        self, leader: "Leader", connection: "ServerConnection", node_id: str, peer_name: str
    ) -> None:
        self.leader = leader
        self.connection = connection
        self.node_id, self.peer_name = node_id, peer_name
        self.decoder = frames.FrameDecoder()
        self.match_index = 0
        self.heartbeat_s = 0.0
        self.received_s = monotonic()
        self.live = False
        self.segment: Segment | None = None
        self.offset = 0

    def feed(self, data: bytes) -> bytes:
        """Handle the frames of the follower."""
        self.received_s = monotonic()
        try:
            for kind, body in self.decoder.feed(data):
                if kind == b"A":
                    index, _, heartbeat_s = frames.unpack(frames.ACK, body)
                    self.match_index = max(self.match_index, index)
                    self.heartbeat_s = heartbeat_s
                    self.leader.on_acknowledged(self)
                elif kind == b"E":
                    self.rewind_to_common(frames.decode_record_ends(body))
        except (frames.BadFrame, ValueError) as error:
            self.leader.log_line(f"dropped follower {self.peer_name}: {error}")
            self.leader.server.drop(self.connection)
        return b""

    def send(self, kind: bytes, body: bytes = b"") -> None:
        """Send one frame at the end of this turn."""
        self.connection.out.append(frames.encode(kind, body))
        self.leader.server.dirty.append(self.connection)

    def send_log_from(self, position: "Position") -> None:
        """Send the log from this position on."""
        self.segment, self.offset = position
        self.send_from_disk()

    def send_from_disk(self) -> None:
        """Send the log from disk until its end; then records are pushed."""
        self.live = False
        self.connection.replies = self._disk_frames()
        self.leader.server.fill_output(self.connection)

    def _disk_frames(self) -> "Iterator[bytes]":
        log = self.leader.engine.log
        while True:
            segment = self.segment
            if segment is None or segment not in log.segments:
                yield from self._snapshot_frames()
                continue
            try:
                data = segment.read(self.offset)
            except record.BadRecord as error:
                self.leader.log_line(f"cannot send {self.peer_name} {segment.path}: {error}")
                self.leader.server.drop(self.connection)
                return
            following = None if data else log.segment_after(segment)
            if data:
                self.offset += len(data)
                yield IndependentReply(frames.encode(b"R", data))
            elif following:
                self.segment, self.offset = following, RECORDS_AT
            else:
                self.live = True
                return

    def _snapshot_frames(self) -> "Iterator[bytes]":
        """Yield the newest snapshot, and continue with the log after it."""
        engine = self.leader.engine
        index, path = snapshot.newest(engine.folder)
        self.leader.log_line(f"sending {self.peer_name} the snapshot at index {index}")
        if path is not None:
            fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
            try:
                chain = snapshot.read_chain(fd)
                posix.lseek(fd, 0, 0)
                while piece := posix.read(fd, SNAPSHOT_PIECE_BYTES):
                    yield IndependentReply(frames.encode(b"S", piece))
            finally:
                posix.close(fd)
            yield IndependentReply(frames.encode(b"Z", frames.SNAPSHOT_END.pack(index)))
        else:
            chain = 0
            yield IndependentReply(frames.encode(b"W", frames.REWIND.pack(0, 0)))
        position = engine.log.find(index, chain)
        self.segment, self.offset = position if position is not None else (None, 0)

    def rewind_to_common(self, ends: list[tuple[int, int]]) -> None:
        """Make the follower continue after the newest common record, or from a snapshot.

        `ends` are the (index, chain) of the ends of the follower's records, newest first. If the
        logs have one of them in common, they have all before it in common, so a binary search
        finds the newest.
        """
        log = self.leader.engine.log
        known = [end for end in ends if log.segments[0].first - 1 <= end[0] <= log.last]
        newest, beyond = 0, len(known)
        while newest < beyond:
            middle = (newest + beyond) // 2
            if log.find(*known[middle]) is None:
                newest = middle + 1
            else:
                beyond = middle
        position = log.find(*known[newest]) if newest < len(known) else None
        if position is not None:
            self.send(b"W", frames.REWIND.pack(*known[newest]))
            self.send_log_from(position)
        else:
            self.segment = None
            self.send_from_disk()

    def on_closed(self) -> None:
        """The connection is closed."""
        self.leader.on_disconnected(self)


class Leader:
    """The leader's followers and the commit index."""

    heartbeat_every_s = HEARTBEAT_EVERY_S

    def __init__(self, node: "StoreNode", member: "ClusterMember") -> None:
        self.node, self.server, self.engine = node, node.server, node.engine
        self.member = member
        self.log_line = node.server.log_line
        self.mode, self.nodes = member.meta.mode, member.meta.nodes
        self.links: list[FollowerLink] = []
        self.commit_index = 0 if self.needed() > 1 else self.engine.applied
        self.closed = False
        self.engine.on_record = self.push
        if not self.engine.log.segments:
            self.engine.log.roll()
        self.server.timers.after(self.heartbeat_every_s, self.send_heartbeats)

    def needed(self) -> int:
        """Return how many nodes, this one included, must have a write before OK is sent."""
        if self.mode == "all":
            return self.nodes
        return self.nodes // 2 + 1 if self.mode == "majority" else 1

    def admit(
        self, connection: "ServerConnection", node_id: str, peer_name: str, index: int, chain: int
    ) -> None:
        """Add a follower whose log ends with this index and chain, and send it what it lacks."""
        for link in [link for link in self.links if link.node_id == node_id]:
            self.server.drop(link.connection)
        link = FollowerLink(self, connection, node_id, peer_name)
        connection.session, connection.independent = link, True
        connection.on_close = link.on_closed
        self.links.append(link)
        self.send_members_to(link)
        self.send_heartbeat(link)
        position = self.engine.log.find(index, chain)
        if position is not None:
            last = self.engine.log.last
            self.log_line(f"follower {peer_name} is at index {index}, this node at {last}")
            link.send(b"W", frames.REWIND.pack(index, chain))
            link.send_log_from(position)
        elif index + 1 < self.engine.log.segments[0].first:
            self.log_line(f"follower {peer_name} is at index {index}, before the log begins")
            link.send_from_disk()
        else:
            self.log_line(f"follower {peer_name} has another history at index {index}")
            link.send(b"Q")

    def push(self, packed: bytes, last: int) -> None:
        """Send a record that was just written to every follower that keeps up."""
        segment = self.engine.log.segments[-1]
        frame = None
        for link in self.links:
            if link.live:
                if len(link.connection.unsent) > OUT_BYTES_MAX:
                    link.segment, link.offset = segment, segment.end - len(packed)
                    link.send_from_disk()
                    continue
                frame = frame or frames.encode(b"R", packed)
                link.connection.out.append(frame)
                link.segment, link.offset = segment, segment.end

    def flush(self) -> None:
        """Send what was pushed."""
        for link in list(self.links):
            if link.connection.out:
                self.server.flush(link.connection)

    def on_acknowledged(self, link: FollowerLink) -> None:
        """A follower has more than before: release the replies that enough nodes now have."""
        self.commit()

    def commit(self) -> None:
        """Compute the commit index, and release the replies up to it."""
        index = self.replicated_index()
        if index > self.commit_index:
            self.commit_index = index
            self.on_committed()
        if self.node.commit_queue is not None and self.holds_lease():
            self.node.release_replies(self.commit_index)

    def replicated_index(self) -> int:
        """Return the index up to which enough nodes have the log; 0 if there are too few nodes."""
        indices = sorted(
            [self.engine.durable, *(link.match_index for link in self.links)], reverse=True
        )
        needed = self.needed()
        return indices[needed - 1] if len(indices) >= needed else 0

    def on_committed(self) -> None:
        """The commit index has risen."""

    def holds_lease(self) -> bool:
        """Whether no other node can be leader yet: a majority received a heartbeat recently.

        A node that promises a new term follows this leader no longer, and a promoted node waits
        until the lease has passed (see cluster_member).
        """
        majority = self.nodes // 2 + 1
        if self.needed() == 1 or majority == 1:
            return True
        received = sorted([link.heartbeat_s for link in self.links], reverse=True)
        if len(received) < majority - 1:
            return False
        return monotonic() < received[majority - 2] + LEASE_S

    def describe_shortage(self, index: int) -> str:
        """Return the reason why a write that too few nodes have in time is indeterminate."""
        indices = (self.engine.durable, *(link.match_index for link in self.links))
        have = sum(match_index >= index for match_index in indices)
        needed = self.needed()
        return f"this write may have happened: {have} of the {needed} nodes needed have it in time"

    def on_disconnected(self, link: FollowerLink) -> None:
        """A follower's connection is closed."""
        if link in self.links:
            self.links.remove(link)
            self.log_line(f"follower {link.peer_name} disconnected at index {link.match_index}")

    def send_heartbeats(self) -> None:
        """Send every follower a heartbeat; drop those from which nothing arrives."""
        if self.closed:
            return
        self.server.timers.after(self.heartbeat_every_s, self.send_heartbeats)
        now_s = monotonic()
        for link in list(self.links):
            if now_s - link.received_s > SILENCE_S_MAX:
                self.log_line(
                    f"dropped follower {link.peer_name}: nothing arrived for {SILENCE_S_MAX:g} s"
                )
                self.server.drop(link.connection)
            else:
                self.send_heartbeat(link)

    def send_heartbeat(self, link: FollowerLink) -> None:
        """Send one follower the indices of this leader, its term and its clock."""
        last, term = self.engine.log.last, self.member.meta.term
        link.send(b"H", frames.HEARTBEAT.pack(self.commit_index, last, term, monotonic()))

    def send_members(self) -> None:
        """Send every follower who belongs to the cluster."""
        for link in self.links:
            self.send_members_to(link)

    def send_members_to(self, link: FollowerLink) -> None:
        """Send one follower who belongs to the cluster."""
        link.send(b"M", frames.encode_members(self.member.meta.members))

    def lag(self, link: FollowerLink) -> int:
        """Return how many writes a follower is behind."""
        return self.engine.log.last - link.match_index

    def status(self) -> "list[dict[str, Any]]":
        """Return the part of STATUS that is about the followers."""
        return [
            {
                "addr": format_address(self.member.peers.address_of(link.peer_name)),
                "node": link.node_id,
                "index": link.match_index,
                "lag": self.lag(link),
                "live": link.live,
            }
            for link in self.links
        ]

    def close(self) -> None:
        """Stop leading: drop every follower."""
        self.closed = True
        self.engine.on_record = None
        for link in list(self.links):
            self.server.drop(link.connection)
        self.links = []
