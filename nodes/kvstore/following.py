"""The follower's side of replication: find the leader, say where one stands, apply what comes. Knows no clients.

Applies records exactly in the leader's order and acknowledges them once they are as durable as `--fsync` asks for.
Whatever goes wrong is said once in the log, and tried again with growing pauses.
Seams for a changed follower: `apply`, `acknowledge`, `rewind`.
"""

import posix
from time import monotonic

from kvstore import frames, record, snapshot
from kvstore.errors import DiskFullError, StartError
from kvstore.log import remove_file
from kvstore.outgoing import dial

FIRST_TRY_S = 0.0
PAUSE_S_MIN, PAUSE_S_MAX = 0.05, 2.0
QUIET_PAUSE_S = 15.0  # between questions to a leader that does not replicate
SILENT_S = 3.0
GREETING_BYTES_MAX = 4096


class Following:
    """The link to the leader, and the session of its connection."""

    def __init__(self, node, addresses):
        self.node, self.server, self.engine = node, node.server, node.engine
        self.addresses = addresses  # where the leader may be, likeliest first
        self.turn = 0
        self.connection = None
        self.linked = False
        self.closed = False
        self.pause_s = PAUSE_S_MIN
        self.said = None
        self.heard_s = 0.0
        self.leader_index = 0
        self.committed = 0
        self.beat_s = 0.0
        self.aligned = False  # whether this node's history is the leader's: only then its index counts
        self.refused = None  # why the node there would not have us
        self.quiet = None  # how long to leave it in peace
        self.incoming = None  # (path, fd) of a snapshot that is being received
        self.server.timers.after(FIRST_TRY_S, self.connect)
        self.server.timers.after(SILENT_S, self.watch)

    # -- finding the leader -----------------------------------------------------------------------------

    def connect(self):
        """Try the next address."""
        if self.closed or self.connection is not None or not self.addresses:
            return
        self.address = self.addresses[self.turn % len(self.addresses)]
        self.turn += 1
        self.beat_s, self.aligned = 0.0, False
        self.greeted, self.held, self.decoder = False, b"", frames.Decoder()
        self.refused, self.quiet, self.heard_s = None, None, monotonic()
        log, meta = self.engine.log, self.node.cluster.meta
        greeting = (
            f"FOLLOW {frames.VERSION} {meta.cluster or '-'} {meta.node} {log.last} {log.chain} {meta.promised} "
            f"{self.node.cluster.peers.me}\n"
        )
        try:
            self.connection = dial(self.server, self.address, self, greeting.encode())
            self.connection.on_close = self.lost
        except OSError as error:
            self.retry(f"cannot reach it: {error.strerror or error}")

    def called(self):
        """Return what this node calls the one it tries to follow."""
        return self.node.cluster.peers.place(self.address)

    def redirect(self, address):
        """Follow this address from now on."""
        self.addresses = [address, *(other for other in self.addresses if other != address)]
        self.turn, self.pause_s = 0, PAUSE_S_MIN
        if self.connection is not None and self.address != address:
            self.server.drop(self.connection)
        self.connect()

    def retry(self, why, pause_s=None):
        """Say, once, why there is no link, and try again later."""
        if self.said != (self.address, why):
            self.said = (self.address, why)
            self.server.say(f"not following {self.called()}: {why}; trying again")
        if not self.closed:
            self.server.timers.after(pause_s or self.pause_s, self.connect)
            self.pause_s = min(self.pause_s * 2, PAUSE_S_MAX)

    def lost(self):
        """The connection is gone."""
        was_linked, self.linked, self.connection = self.linked, False, None
        self._forget_incoming()
        if not self.closed:
            lost = "the connection was lost" if was_linked else "nothing answers there"
            self.retry(self.refused or lost, self.quiet)

    def watch(self):
        """Hang up when nothing was heard for too long."""
        if self.closed:
            return
        self.server.timers.after(SILENT_S / 2, self.watch)
        if self.connection is not None and monotonic() - self.heard_s > SILENT_S:
            self.refused = f"nothing heard for {SILENT_S:g} s"
            self.server.drop(self.connection)

    # -- what the leader says ---------------------------------------------------------------------------

    def feed(self, data):
        """Take what the leader says."""
        self.heard_s = monotonic()
        try:
            if not self.greeted:
                data = self.greet(self.held + data)
            applied = self.engine.log.last
            for kind, body in self.decoder.feed(data) if data else ():
                self.TAKE[kind](self, body)
            if self.engine.log.last != applied:
                self.acknowledge()
            self.heard_s = monotonic()
        except (frames.BadFrame, record.BadRecord, KeyError, ValueError, StartError) as error:
            self.refused = f"it says what cannot be used: {error}"
            self.server.drop(self.connection)
        except DiskFullError as error:
            self.refused = str(error)
            self.server.drop(self.connection)
        return b""

    def greet(self, data):
        """Read the answer to FOLLOW; return the bytes behind it. Raises ValueError for what no leader says."""
        line, end, rest = data.partition(b"\n")
        if not end:
            if len(data) > GREETING_BYTES_MAX:
                raise ValueError("no answer to FOLLOW")
            self.held = data
            return b""
        words = line.decode("utf-8", "replace").split(" ")
        if words[0] != "FOLLOWED" or len(words) != 6:
            self.turned_away(line.decode("utf-8", "replace"))
            return b""
        self.node.cluster.joined(
            words[1], int(words[2]), int(words[3]), words[4], int(words[5]), self.address
        )
        self.greeted = self.linked = True
        self.pause_s, self.said, self.turn = PAUSE_S_MIN, None, self.turn - 1
        self.server.say(f"following {self.called()} in epoch {words[2]} from index {self.engine.log.last}")
        return rest

    def turned_away(self, line):
        """The node there is not our leader; it may know who is."""
        self.refused = f"it answered {line[:200]!a}"
        self.quiet = QUIET_PAUSE_S if "does not replicate" in line else None
        asked = self.connection
        epoch, leader = self.node.cluster.leader_in(line)
        if leader is not None:
            self.node.cluster.heard_of(epoch, leader)
        if self.connection is asked:
            self.server.drop(asked)

    def take_records(self, body):
        """Apply records, in order."""
        if not self.aligned:
            raise frames.BadFrame("records before it was agreed where they begin")
        at = 0
        while at < len(body):
            size = record.read_header(body, at)[0]
            self.apply(body[at : at + size])
            at += size

    def apply(self, packed):
        """Apply one record, which must follow the last one."""
        self.engine.apply_record(packed)
        self.leader_index = max(self.leader_index, self.engine.log.last)

    def acknowledge(self):
        """Say, behind this turn's commit, how far this node is."""
        index = self.engine.log.last if self.aligned else 0
        ack = frames.ACK.pack(index, self.node.cluster.meta.epoch, self.beat_s)
        self.connection.out.append(frames.encode(b"A", ack))
        self.server.dirty.append(self.connection)
        self.node.advanced()

    def take_rewind(self, body):
        index, chain = frames.unpack(frames.REWIND, body)
        self.rewind(index, chain)
        self.aligned = True
        self.acknowledge()

    def rewind(self, index, chain):
        """Discard what the leader's history does not have, saying exactly what."""
        if (index, chain) != (self.engine.log.last, self.engine.log.chain):
            for line in self.engine.rewind(index, chain):
                self.server.say(line)

    def take_question(self, _body):
        self.engine.commit()
        self.connection.out.append(frames.encode_ends(self.engine.log.ends(frames.ENDS_MAX)))
        self.server.dirty.append(self.connection)

    def take_piece(self, body):
        if self.incoming is None:
            path = f"{self.engine.folder}/{snapshot.PREFIX}incoming"
            flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
            self.incoming = path, posix.open(path, flags, 0o644)
        try:
            while body:
                body = body[posix.write(self.incoming[1], body) :]
        except OSError as error:
            raise DiskFullError(f"a snapshot cannot be written: {error.strerror}") from error

    def take_whole(self, _body):
        if self.incoming is None:
            raise frames.BadFrame("the end of a snapshot that was not sent")
        path, fd = self.incoming
        posix.fsync(fd)
        posix.close(fd)
        self.incoming = None
        for line in self.engine.install(path):
            self.server.say(line)
        self.aligned = True
        self.acknowledge()

    def _forget_incoming(self):
        if self.incoming is not None:
            posix.close(self.incoming[1])
            remove_file(self.incoming[0])
            self.incoming = None

    def take_beat(self, body):
        self.committed, self.leader_index, _, self.beat_s = frames.unpack(frames.BEAT, body)
        self.acknowledge()

    def take_members(self, body):
        self.node.cluster.take_members(frames.decode_members(body))

    TAKE = {  # noqa: RUF012  (a table, never changed)
        b"R": take_records,
        b"W": take_rewind,
        b"Q": take_question,
        b"S": take_piece,
        b"Z": take_whole,
        b"H": take_beat,
        b"M": take_members,
    }

    def close(self):
        """Stop following."""
        self.closed = True
        if self.connection is not None:
            self.server.drop(self.connection)
