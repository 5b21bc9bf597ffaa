"""The leader's side of replication: its followers, how far each has come, and what is committed. Knows no clients.

A follower that keeps up is pushed every record as it is written. One that does not is fed from the log on disk, at the pace
at which it reads; so however slow it is, it costs the leader one bounded buffer and a place in a file.
Seams for a changed leader: `needed`, `push`, `acked`, `beat`, `lag`.
"""

import posix
from time import monotonic

from kvstore import frames, record, snapshot
from kvstore.limits import OUT_BYTES_MAX
from kvstore.meta import address_text
from kvstore.replies import Free
from kvstore.segment import HEADER

BEAT_S = 0.25
LEASE_S = 1.0
SILENT_S = 10.0  # a follower that acknowledges nothing for so long is dropped
PIECE_BYTES = 256 << 10
NEEDED = {"none": lambda nodes: 1, "async": lambda nodes: 1, "majority": lambda nodes: nodes // 2 + 1}
NEEDED["all"] = lambda nodes: nodes


class Link:
    """One connected follower: the session of its connection."""

    def __init__(self, leading, connection, node, place):
        self.leading = leading
        self.connection = connection
        self.node, self.place = node, place
        self.decoder = frames.Decoder()
        self.acked = 0
        self.beat_s = 0.0  # when the heartbeat it heard last was sent, by the leader's clock
        self.heard_s = monotonic()
        self.live = False  # whether records are pushed as they are written
        self.segment = self.offset = None  # where the next record for this follower lies

    def feed(self, data):
        """Take what the follower says."""
        self.heard_s = monotonic()
        try:
            for kind, body in self.decoder.feed(data):
                if kind == b"A":
                    index, _, beat_s = frames.unpack(frames.ACK, body)
                    self.acked, self.beat_s = max(self.acked, index), beat_s
                    self.leading.acked(self)
                elif kind == b"E":
                    self.find_common(frames.decode_ends(body))
        except (frames.BadFrame, ValueError) as error:
            self.leading.say(f"dropped follower {self.place}: {error}")
            self.leading.server.drop(self.connection)
        return b""

    def send(self, kind, body=b""):
        """Send one frame at the end of this turn."""
        self.connection.out.append(frames.encode(kind, body))
        self.leading.server.dirty.append(self.connection)

    def start_at(self, place):
        """Feed from (segment, offset) on."""
        self.segment, self.offset = place
        self.feed_from_disk()

    def feed_from_disk(self):
        """Go on from the log on disk until there is nothing more in it; then records are pushed."""
        self.live = False
        self.connection.replies = self._from_disk()
        self.leading.server.pump(self.connection)

    def _from_disk(self):
        log = self.leading.engine.log
        while True:
            if self.segment not in log.segments:
                yield from self._snapshot()
                continue
            try:
                data = self.segment.read(self.offset)
            except record.BadRecord as error:
                self.leading.say(f"cannot feed {self.place} from {self.segment.path}: {error}")
                self.leading.server.drop(self.connection)
                return
            later = None if data else log.after(self.segment)
            if data:
                self.offset += len(data)
                yield Free(frames.encode(b"R", data))
            elif later:
                self.segment, self.offset = later, HEADER.size
            else:
                self.live = True
                return

    def find_common(self, ends):
        """Go on behind the newest of these (index, chain) that the leader's history has as well, or start all over."""
        log = self.leading.engine.log
        known = [end for end in ends if log.segments[0].first - 1 <= end[0] <= log.last]
        newest, beyond = 0, len(known)
        while newest < beyond:  # what is common is common to all before it as well, so halving finds its end
            middle = (newest + beyond) // 2
            if log.find(*known[middle]) is None:
                newest = middle + 1
            else:
                beyond = middle
        if newest < len(known):
            self.send(b"W", frames.REWIND.pack(*known[newest]))
            self.start_at(log.find(*known[newest]))
        else:
            self.segment = None
            self.feed_from_disk()

    def _snapshot(self):
        """Yield the newest snapshot, and go on in the log behind it."""
        engine = self.leading.engine
        index, path = snapshot.newest(engine.folder)
        self.leading.say(f"sending {self.place} the snapshot at index {index}")
        if path is not None:
            fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
            try:
                chain = snapshot.read_chain(fd)
                posix.lseek(fd, 0, 0)
                while piece := posix.read(fd, PIECE_BYTES):
                    yield Free(frames.encode(b"S", piece))
            finally:
                posix.close(fd)
            yield Free(frames.encode(b"Z", frames.SIZE.pack(index)))
        else:
            chain = 0
            yield Free(frames.encode(b"W", frames.REWIND.pack(0, 0)))
        place = engine.log.find(index, chain)
        self.segment, self.offset = place if place is not None else (None, 0)

    def closed(self):
        self.leading.lost(self)


class Leading:
    """The leader's followers and the commit index."""

    def __init__(self, node, mode, nodes):
        self.node, self.server, self.engine = node, node.server, node.engine
        self.say = node.server.say
        self.mode, self.nodes = mode, nodes
        self.links = []
        self.committed = 0 if self.needed() > 1 else self.engine.applied
        self.closed = False
        self.engine.on_record = self.push
        if not self.engine.log.segments:
            self.engine.log.roll()
        self.server.timers.after(BEAT_S, self.beat)

    def needed(self):
        """Return how many nodes, the leader among them, must have a write before it is acknowledged."""
        return NEEDED[self.mode](self.nodes)

    def admit(self, connection, node, place, index, chain):
        """Take a follower in whose history ends with this index and chain; it is sent what it lacks."""
        for link in [link for link in self.links if link.node == node]:
            self.server.drop(link.connection)
        link = Link(self, connection, node, place)
        connection.session, connection.free, connection.on_close = link, True, link.closed
        self.links.append(link)
        link.send(b"M", frames.encode_members(self.node.cluster.meta.members)[frames.HEADER.size :])
        self.send_beat(link)
        found = self.engine.log.find(index, chain)
        if found is not None:
            self.say(f"follower {place} is at index {index}, this node at {self.engine.log.last}")
            link.send(b"W", frames.REWIND.pack(index, chain))
            link.start_at(found)
        elif index + 1 < self.engine.log.segments[0].first:
            self.say(f"follower {place} is at index {index}, too far behind for the log")
            link.feed_from_disk()
        else:
            self.say(f"follower {place} has another history at index {index}")
            link.send(b"Q")

    def push(self, packed, _last):
        """Pass a record that was just written to every follower that keeps up."""
        segment = self.engine.log.segments[-1]
        frame = None
        for link in self.links:
            if link.live:
                if len(link.connection.sending) > OUT_BYTES_MAX:
                    link.segment, link.offset = segment, segment.end - len(packed)
                    link.feed_from_disk()
                    continue
                frame = frame or frames.encode(b"R", packed)
                link.connection.out.append(frame)
                link.segment, link.offset = segment, segment.end

    def flush(self):
        """Send what was pushed: before the leader's own sync, so that the followers' disks work at the same time."""
        for link in list(self.links):
            if link.connection.out:
                self.server.flush(link.connection)

    def acked(self, _link):
        """A follower has more than before: let the replies go that enough nodes have now."""
        self.commit()

    def commit(self):
        """Work out what enough nodes have."""
        counts = sorted([self.engine.durable, *(link.acked for link in self.links)], reverse=True)
        needed = self.needed()
        if len(counts) >= needed:
            self.committed = max(self.committed, counts[needed - 1])
        if self.node.waiting is not None and self.still_leads():
            self.node.release(self.committed)

    def still_leads(self):
        """Whether no other node can have been promoted yet: a majority has heard this leader within the lease.

        Who promises a new epoch hears this leader no more, and who is promoted waits for a lease to pass (cluster.py).
        """
        majority = self.nodes // 2 + 1
        heard = sorted([link.beat_s for link in self.links], reverse=True)
        if self.needed() == 1 or majority == 1:
            return True
        return len(heard) >= majority - 1 and monotonic() < heard[majority - 2] + LEASE_S

    def why(self, index):
        """Return what is said of a write that too few nodes have in time."""
        have = sum(have >= index for have in (self.engine.durable, *(link.acked for link in self.links)))
        return f"this write may have happened: {have} of the {self.needed()} nodes needed have it in time"

    def lost(self, link):
        """A follower's connection is gone."""
        if link in self.links:
            self.links.remove(link)
            self.say(f"follower {link.place} is gone, at index {link.acked}")

    def beat(self):
        """Tell every follower how far the leader is; drop those that do not answer."""
        if self.closed:
            return
        self.server.timers.after(BEAT_S, self.beat)
        now_s = monotonic()
        for link in list(self.links):
            if now_s - link.heard_s > SILENT_S:
                self.say(f"dropped follower {link.place}: not heard from for {SILENT_S:g} s")
                self.server.drop(link.connection)
            else:
                self.send_beat(link)

    def send_beat(self, link):
        """Tell one follower how far the leader is, and when that was."""
        epoch = self.node.cluster.meta.epoch
        link.send(b"H", frames.BEAT.pack(self.committed, self.engine.log.last, epoch, monotonic()))

    def tell_members(self):
        """Tell every follower who belongs to the cluster."""
        for link in self.links:
            link.send(b"M", frames.encode_members(self.node.cluster.meta.members)[frames.HEADER.size :])

    def lag(self, link):
        """Return how many writes a follower is behind."""
        return self.engine.log.last - link.acked

    def status(self):
        """Return what STATUS says of the followers."""
        return [
            {
                "addr": address_text(self.node.cluster.peers.address(link.place)),
                "node": link.node,
                "index": link.acked,
                "lag": self.lag(link),
                "live": link.live,
            }
            for link in self.links
        ]

    def close(self):
        """Stop leading: let every follower go."""
        self.closed = True
        self.engine.on_record = None
        for link in list(self.links):
            self.server.drop(link.connection)
        self.links = []
