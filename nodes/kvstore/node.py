"""One node's rules: who may write, who leads, what a refusal says. Knows nothing of sockets or of how replies look.

Every write of every protocol passes `refusal`, here and nowhere else.
Seams for a changed node, each a small method: `refusal`, `refusal_text`, `put`, `put_all`, `get`, `get_all`, `delete`, `cas`,
`commit`, `status`, `from_peer`, `cluster_class`. What a node does among others is in cluster.py, leading.py and following.py.
"""

import posix
from time import monotonic, time

from kvstore.engine import DIGEST_KEYS_MAX
from kvstore.lines import encode_error
from kvstore.replies import Free, Later

JOIN_S = 0.02  # a follower looks for its leader so long after it is ready


class Node:
    """The engine behind its role. Methods take and return bytes; a refusal is a text, None means accepted."""

    def __init__(self, settings, engine, server):
        self.settings = settings
        self.engine = engine
        self.server = server
        self.leads = settings.leads
        self.leader = settings.leader
        self.holds = False  # whether replies wait for other nodes
        self.cluster = None  # this node's place among others, once it has one
        self.waiting = None  # the replies that wait
        self.expiry_is_due = False
        self.waiters = []  # (index, Later) of clients that wait for this node to get there

    @property
    def role(self):
        """The part this node plays now, as a Role."""
        from kvstore.role import Role

        return Role.LEADER if self.leads else Role.FOLLOWER

    # -- writes and reads -------------------------------------------------------------------------------

    def refusal(self):
        """Return why a write may not happen here, or None. The one place every write passes."""
        if self.leads:
            return None
        return self.refusal_text()

    def refusal_text(self):
        """Return what a follower answers to a write: who leads, if it knows."""
        if self.leader is None:
            return "read-only: this node is a follower"
        host, port = self.leader
        if host == self.settings.host:
            return f"read-only, leader is on port {port}"
        return f"read-only, leader is on {host}:{port}"

    def put(self, key, value):
        """Set a key, having passed `refusal`. Raises DiskFullError."""
        self.engine.put(key, value)

    def put_all(self, keys, values, commands):
        """Set many keys, having passed `refusal`; `commands` is their encoding. Raises DiskFullError."""
        self.engine.put_all(keys, values, commands)

    def get(self, key):
        """Return the value, or None."""
        return self.engine.get(key)

    def get_all(self, keys):
        """Return the values of many keys, None where there is none."""
        return self.engine.get_all(keys)

    def delete(self, key):
        """Remove a key, having passed `refusal`; return whether it was there. Raises DiskFullError."""
        return self.engine.delete(key)

    def cas(self, key, expected, value):
        """Set a key that holds `expected`, having passed `refusal`; return what it held. Raises DiskFullError."""
        held = self.get(key)
        if held == expected:
            self.put(key, value)
        return held

    def commit(self):
        """Make every write so far durable, sending it to the followers meanwhile. Raises OSError."""
        leading = self.cluster and self.cluster.leading
        if not leading:
            self.engine.commit()
            return
        self.engine.write_pending()
        leading.flush()
        self.engine.commit()
        leading.commit()

    # -- replies that wait for other nodes --------------------------------------------------------------

    def hold(self, now_s, connections):
        """Keep back what these connections would be sent until enough nodes have it; return those that need not wait."""
        leading = self.cluster.leading
        if self.waiting is None:
            from kvstore.holds import Holds

            self.waiting = Holds(self.settings.ack_timeout)
        if leading.committed >= self.engine.applied and leading.still_leads():
            return connections
        if not self.expiry_is_due:
            self.expiry_is_due = True
            self.server.timers.after(self.settings.ack_timeout, self.expire)
        return self.waiting.hold(self.engine.applied, now_s, connections)

    def release(self, committed):
        """Send what waited for `committed`."""
        if self.waiting is not None:
            for connection, data in self.waiting.release(committed):
                self.server.send_behind(connection, data)

    def expire(self):
        """Send doubts to those who waited too long."""
        self.expiry_is_due = False
        leading = self.cluster.leading
        if leading is None:
            return
        for connection, data in self.waiting.expire(monotonic(), leading.why):
            self.server.send_behind(connection, data)
        if self.waiting.groups:
            self.expiry_is_due = True
            self.server.timers.after(max(0.001, self.waiting.groups[0][1] - monotonic()), self.expire)

    def in_doubt(self, why):
        """Send doubts to all who wait."""
        if self.waiting is not None:
            for connection, data in self.waiting.expire_all(lambda index: why):
                self.server.send_behind(connection, data)

    # -- other nodes ------------------------------------------------------------------------------------

    def start(self):
        """Find this node's place among others. Raises StartError."""
        settings, engine = self.settings, self.engine
        replicates = settings.replication not in (None, "none")
        if has_meta(settings.data_dir) or (settings.leads and (replicates or settings.epoch)):
            self.join()
        elif settings.leads:
            engine.log.epoch = max(engine.log.epoch, 1)
        elif settings.leader and settings.replication != "none":
            self.server.timers.after(JOIN_S, self.join)

    def join(self):
        """Load what is needed to deal with other nodes; a node that never does, never pays for it."""
        if self.cluster is None:
            self.cluster = self.cluster_class()(self)
            self.cluster.start()
        return self.cluster

    def cluster_class(self):
        """Return the class that deals with other nodes, imported now and not before."""
        from kvstore.cluster import Cluster

        return Cluster

    def promote(self, force):
        """Become the leader of a new epoch; return the reply or a Later."""
        return self.join().promote(force)

    def from_peer(self, session, verb, words):
        """Answer another node; return the reply, b"" when the connection is its follower's link from now on."""
        words = [word.decode("ascii", "replace") for word in words]
        if self.leads and self.cluster is None:
            return Free(
                encode_error(f"this leader does not replicate (--replication=none), {verb} is of no use")
            )
        cluster = self.join()
        if verb == "FOLLOW":
            wrong = cluster.on_follow(session, words)
            return Free(encode_error(wrong)) if wrong else b""
        wrong = cluster.promise(words) if verb == "PROMISE" else cluster.on_announce(words)
        return Free(encode_error(wrong) if wrong else b"OK\n")

    def wait(self, index, within_s):
        """Return OK once this node has applied `index`, or an error when it has not in time."""
        if self.engine.applied >= index:
            return Free(b"OK\n")
        later = Later()
        self.waiters.append((index, later))
        self.server.timers.after(within_s, lambda: self.waited_long_enough(index, later))
        return later

    def waited_long_enough(self, index, later):
        later.fill(
            encode_error(f"not ready: this node is at index {self.engine.applied}, not yet at {index}")
        )
        self.waiters = [waiter for waiter in self.waiters if waiter[1] is not later]

    def advanced(self):
        """The state shows more than before: answer those who waited for that."""
        if self.waiters:
            due = [waiter for waiter in self.waiters if waiter[0] <= self.engine.applied]
            self.waiters = [waiter for waiter in self.waiters if waiter[0] > self.engine.applied]
            for _, later in due:
                later.fill(b"OK\n")

    # -- what it tells of itself ------------------------------------------------------------------------

    def status(self):
        """Return what STATUS says, as a dictionary in a fixed order."""
        engine = self.engine
        shown = {
            "role": self.role.value,
            "leader": f"{self.leader[0]}:{self.leader[1]}" if self.leader else None,
            "keys": len(engine),
            "applied": engine.applied,
            "index": engine.applied,
            "durable": engine.durable,
            "digest": engine.digest(DIGEST_KEYS_MAX),
            "epoch": engine.log.epoch,
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
        return shown if self.cluster is None else shown | self.cluster.status()

    def tick(self, now_s):
        """Once a second."""
        self.engine.tick()


def has_meta(folder):
    """Whether a data directory has dealt with other nodes before."""
    try:
        posix.stat(f"{folder}/meta")
    except FileNotFoundError:
        return False
    return True
