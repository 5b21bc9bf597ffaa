"""The follower's side of replication: connect to the leader, report the end of the log, apply.

Does not know clients. Records are applied in the leader's order, and acknowledged once they are as
durable as `--fsync` requires. A failure is logged once and retried with growing pauses.

Override in a changed follower: `apply`, `acknowledge`, `rewind`.
"""

import posix
from time import monotonic

from kvstore import frames, record, snapshot
from kvstore.connect import connect
from kvstore.errors import DiskFullError, StartError
from kvstore.log import remove_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kvstore.cluster_member import ClusterMember
    from kvstore.connection import ServerConnection
    from kvstore.interfaces import Address
    from kvstore.node import StoreNode

PAUSE_S_MIN, PAUSE_S_MAX = 0.05, 2.0
# between attempts at a leader that does not replicate
NO_REPLICATION_PAUSE_S = 15.0
SILENCE_S_MAX = 3.0
GREETING_BYTES_MAX = 4096


class Follower:
    """The link to the leader, and the session of its connection.

    `addresses`: where the leader may be, most likely first. `aligned`: this node's log is a prefix
    of the leader's; only then its index is acknowledged. `failure`: why the connection is dropped.
    `incoming`: (path, file descriptor) of a snapshot that is being received.
    """

    pause_s_max, silence_s_max = PAUSE_S_MAX, SILENCE_S_MAX

    def __init__(
        self, node: "StoreNode", member: "ClusterMember", addresses: "list[Address]"
    ) -> None:
        self.node, self.server, self.engine = node, node.server, node.engine
        self.member = member
        self.addresses = addresses
        self.address = addresses[0]
        self.attempts = 0
        self.connection: ServerConnection | None = None
        self.decoder = frames.FrameDecoder()
        self.greeted, self.buffered = False, b""
        self.linked = False
        self.closed = False
        self.pause_s = PAUSE_S_MIN
        self.logged: tuple[Address, str] | None = None
        self.received_s = 0.0
        self.leader_index = 0
        self.commit_index = 0
        self.heartbeat_s = 0.0
        self.aligned = False
        self.failure: str | None = None
        self.next_pause_s: float | None = None
        self.incoming: tuple[str, int] | None = None
        self.server.timers.after(0.0, self.connect)
        self.server.timers.after(self.silence_s_max, self.check_silence)

    # -- the connection to the leader ------------------------------------------------------------

    def connect(self) -> None:
        """Try the next address."""
        if self.closed or self.connection is not None or not self.addresses:
            return
        self.address = self.addresses[self.attempts % len(self.addresses)]
        self.attempts += 1
        self.heartbeat_s, self.aligned = 0.0, False
        self.greeted, self.buffered, self.decoder = False, b"", frames.FrameDecoder()
        self.failure, self.next_pause_s, self.received_s = None, None, monotonic()
        log, meta = self.engine.log, self.member.meta
        greeting = (
            f"FOLLOW {frames.VERSION} {meta.cluster or '-'} {meta.node} {log.last} {log.chain} "
            f"{meta.promised} {self.member.peers.own_name}\n"
        )
        try:
            self.connection = connect(self.server, self.address, self, greeting.encode())
            self.connection.on_close = self.on_disconnected
        except OSError as error:
            self.retry(f"cannot reach it: {error.strerror or error}")

    def leader_name(self) -> str:
        """Return the peer name of the node that this node tries to follow."""
        return self.member.peers.name_of(self.address)

    def redirect(self, address: "Address") -> None:
        """Follow the node at this address from now on."""
        self.addresses = [address, *(other for other in self.addresses if other != address)]
        self.attempts, self.pause_s = 0, PAUSE_S_MIN
        if self.connection is not None and self.address != address:
            self.server.drop(self.connection)
        self.connect()

    def retry(self, reason: str, pause_s: float | None = None) -> None:
        """Log, once, why there is no link, and try again later."""
        if self.logged != (self.address, reason):
            self.logged = (self.address, reason)
            self.server.log_line(f"not following {self.leader_name()}: {reason}; trying again")
        if not self.closed:
            self.server.timers.after(pause_s or self.pause_s, self.connect)
            self.pause_s = min(self.pause_s * 2, self.pause_s_max)

    def disconnect(self, failure: str) -> None:
        """Drop the connection, for this reason."""
        self.failure = failure
        if self.connection is not None:
            self.server.drop(self.connection)

    def on_disconnected(self) -> None:
        """The connection is closed."""
        was_linked, self.linked, self.connection = self.linked, False, None
        self._discard_incoming()
        if not self.closed:
            lost = "the connection was lost" if was_linked else "it does not answer"
            self.retry(self.failure or lost, self.next_pause_s)

    def check_silence(self) -> None:
        """Drop the connection if nothing arrived for too long."""
        if self.closed:
            return
        self.server.timers.after(self.silence_s_max / 2, self.check_silence)
        if self.connection is not None and monotonic() - self.received_s > self.silence_s_max:
            self.disconnect(f"nothing arrived for {self.silence_s_max:g} s")

    # -- what the leader sends -------------------------------------------------------------------

    def feed(self, data: bytes) -> bytes:
        """Handle the greeting and the frames of the leader."""
        self.received_s = monotonic()
        try:
            if not self.greeted:
                data = self.read_greeting(self.buffered + data)
            last = self.engine.log.last
            for kind, body in self.decoder.feed(data) if data else ():
                self.HANDLERS[kind](self, body)
            if self.engine.log.last != last:
                self.acknowledge()
            self.received_s = monotonic()
        except (
            frames.BadFrame,
            record.BadRecord,
            KeyError,
            ValueError,
            StartError,
        ) as error:
            self.disconnect(f"it sent what this node cannot use: {error}")
        except DiskFullError as error:
            self.disconnect(str(error))
        return b""

    def read_greeting(self, data: bytes) -> bytes:
        """Read the answer to FOLLOW; return the bytes after it.

        Raises ValueError for what is no answer of a leader to follow.
        """
        first, end, rest = data.partition(b"\n")
        if not end:
            if len(data) > GREETING_BYTES_MAX:
                raise ValueError("no answer to FOLLOW")
            self.buffered = data
            return b""
        line = first.decode("utf-8", "replace")
        words = line.split(" ")
        if words[0] != "FOLLOWED" or len(words) != 6:
            self.on_rejected(line)
            return b""
        _, cluster, term, slot, mode, nodes = words
        self.member.on_admitted(cluster, int(term), int(slot), mode, int(nodes), self.address)
        self.greeted = self.linked = True
        self.pause_s, self.logged, self.attempts = PAUSE_S_MIN, None, self.attempts - 1
        last = self.engine.log.last
        self.server.log_line(f"following {self.leader_name()} in term {term} from index {last}")
        return rest

    def on_rejected(self, line: str) -> None:
        """The other node did not admit this node; its answer may name the leader."""
        self.failure = f"it answered {line[:200]!a}"
        self.next_pause_s = NO_REPLICATION_PAUSE_S if "does not replicate" in line else None
        rejecting = self.connection
        self.member.follow_hint(line)
        if rejecting is not None and self.connection is rejecting:
            self.server.drop(rejecting)

    def send(self, kind: bytes, body: bytes) -> None:
        """Send one frame at the end of this turn."""
        if self.connection is not None:
            self.connection.out.append(frames.encode(kind, body))
            self.server.dirty.append(self.connection)

    def on_records(self, body: bytes) -> None:
        """Apply records, in order."""
        if not self.aligned:
            raise frames.BadFrame("records before their position was agreed")
        offset = 0
        while offset < len(body):
            size = record.read_header(body, offset)[0]
            self.apply(body[offset : offset + size])
            offset += size

    def apply(self, packed: bytes) -> None:
        """Apply one record, which must follow the last record."""
        self.engine.apply_record(packed)
        self.leader_index = max(self.leader_index, self.engine.log.last)

    def acknowledge(self) -> None:
        """Report, after this turn's commit, the end of this node's log."""
        index = self.engine.log.last if self.aligned else 0
        ack = frames.ACK.pack(index, self.member.meta.term, self.heartbeat_s)
        self.send(b"A", ack)
        self.node.on_applied()

    def on_rewind(self, body: bytes) -> None:
        """The leader agrees with this node's log up to an index."""
        index, chain = frames.unpack(frames.REWIND, body)
        self.rewind(index, chain)
        self.aligned = True
        self.acknowledge()

    def rewind(self, index: int, chain: int) -> None:
        """Discard what the leader's log does not have, and log exactly what."""
        if (index, chain) != (self.engine.log.last, self.engine.log.chain):
            for line in self.engine.rewind(index, chain):
                self.server.log_line(line)

    def on_ends_query(self, body: bytes) -> None:
        """Send the leader the ends of this node's records."""
        self.engine.commit()
        ends = self.engine.log.record_ends(frames.RECORD_ENDS_MAX)
        self.send(b"E", frames.encode_record_ends(ends))

    def on_snapshot_piece(self, body: bytes) -> None:
        """Write a piece of a snapshot to a file."""
        if self.incoming is None:
            path = f"{self.engine.folder}/{snapshot.PREFIX}incoming"
            flags = posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC
            self.incoming = path, posix.open(path, flags, 0o644)
        try:
            while body:
                body = body[posix.write(self.incoming[1], body) :]
        except OSError as error:
            raise DiskFullError(f"a snapshot cannot be written: {error.strerror}") from error

    def on_snapshot_end(self, body: bytes) -> None:
        """Install the snapshot that was received."""
        if self.incoming is None:
            raise frames.BadFrame("the end of a snapshot that was not sent")
        path, fd = self.incoming
        posix.fsync(fd)
        posix.close(fd)
        self.incoming = None
        self.server.log_line(self.engine.install_snapshot(path))
        self.aligned = True
        self.acknowledge()

    def _discard_incoming(self) -> None:
        if self.incoming is not None:
            posix.close(self.incoming[1])
            remove_file(self.incoming[0])
            self.incoming = None

    def on_heartbeat(self, body: bytes) -> None:
        """Record the leader's indices and clock, and acknowledge."""
        heartbeat = frames.unpack(frames.HEARTBEAT, body)
        self.commit_index, self.leader_index, _, self.heartbeat_s = heartbeat
        self.acknowledge()

    def on_members(self, body: bytes) -> None:
        """Remember who belongs to the cluster."""
        self.member.remember_members(frames.decode_members(body))

    # a table, never changed
    HANDLERS: "dict[bytes, Callable[[Follower, bytes], None]]" = {  # noqa: RUF012
        b"R": on_records,
        b"W": on_rewind,
        b"Q": on_ends_query,
        b"S": on_snapshot_piece,
        b"Z": on_snapshot_end,
        b"H": on_heartbeat,
        b"M": on_members,
    }

    def close(self) -> None:
        """Stop following."""
        self.closed = True
        if self.connection is not None:
            self.server.drop(self.connection)
