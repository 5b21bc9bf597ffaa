"""Sockets of one node: a single-threaded epoll loop. Knows nothing of keys, roles or what a request means.

One turn of the loop: read what is readable, let sessions answer into their connections, commit once, then send, once a
connection. So a reply never leaves before what it promises is in the log, and many writes share one commit.
Seams for a changed node: `starting`, `listen`, `ready`, `accept`, `session_for`, `send`, `refused`, `say`, `on_signal`,
`commit`, `stop`.
"""

import errno
import posix
from _signal import SIGINT, SIGTERM, set_wakeup_fd, signal
from _socket import AF_INET, AF_INET6, IPPROTO_TCP, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, TCP_NODELAY, socket
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, epoll
from time import monotonic

from kvstore.connection import Connection
from kvstore.errors import StartError
from kvstore.limits import (
    CONNECTIONS_MAX,
    OUT_BYTES_MAX,
    OWN_FILES,
    READ_BYTES,
    REFUSALS_LOGGED_PER_S,
    STALL_S,
)
from kvstore.nodelog import NodeLog
from kvstore.sniff import FirstBytes
from kvstore.timers import Timers

TICK_S = 1.0
SIGNAL_NAMES = {SIGTERM: "SIGTERM", SIGINT: "SIGINT"}


class Server:
    """Owns the listening socket, the connections and the loop of one node."""

    def __init__(self, settings):
        self.settings = settings
        self.node = None  # set before `listen`
        self.log = NodeLog()
        self.timers = Timers()
        self.connections = {}
        self.dirty = []
        self.stopping = False
        self.poller = epoll()
        self.clients_max = None
        self.spare = posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC)
        self.listener = None
        self.wakeup = None
        self.next_tick_s = 0.0
        self.refusals = 0

    # -- the life of a node -----------------------------------------------------------------------------

    def starting(self):
        """Say the first line."""
        self.say(f"starting as {self.settings.role.upper()} on port {self.settings.port}")

    def listen(self):
        """Bind and listen; raises StartError when the address cannot be had."""
        host, port = self.settings.host, self.settings.port
        self.listener = socket(AF_INET6 if ":" in host else AF_INET, SOCK_STREAM)
        self.listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        self.listener.setblocking(False)
        try:
            self.listener.bind((host, port))
            self.listener.listen(1024)
        except OSError as error:
            raise StartError(why_not_bound(host, port, error)) from error
        self.poller.register(self.listener.fileno(), EPOLLIN)

    def ready(self):
        """Say that clients may come: the ready line."""
        self.say(f"listening on {self.settings.host}:{self.settings.port} pid {posix.getpid()}")

    def watch_signals(self):
        """Turn SIGTERM and SIGINT into an event of the loop."""
        self.wakeup, write_end = posix.pipe2(posix.O_NONBLOCK | posix.O_CLOEXEC)
        set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in SIGNAL_NAMES:
            signal(number, lambda *_: None)
        self.poller.register(self.wakeup, EPOLLIN)

    def serve(self):
        """Run the loop until something stops it."""
        poll, connections = self.poller.poll, self.connections
        while not self.stopping:
            for fd, event in poll(0 if self.dirty else self.timers.wait_s(TICK_S)):
                connection = connections.get(fd)
                if connection is None:
                    self.on_own_event(fd)
                elif event == EPOLLIN:
                    self.readable(connection)
                else:
                    self.on_event(connection, event)
            self.end_turn()

    def on_own_event(self, fd):
        if fd == self.wakeup:
            for number in posix.read(self.wakeup, 64):
                self.on_signal(number)
        elif fd == self.listener.fileno():
            self.accept()

    def on_signal(self, number):
        """Leave the loop after this turn."""
        self.say(f"stopping: {SIGNAL_NAMES.get(number, number)}")
        self.stopping = True

    def stop(self):
        """Close the sockets; the engine is closed by who opened it."""
        for connection in list(self.connections.values()):
            self.drop(connection)
        if self.listener is not None:
            self.listener.close()
        self.poller.close()

    # -- one turn ---------------------------------------------------------------------------------------

    def end_turn(self):
        """Do what is due, commit what this turn wrote, then send what it answered."""
        now_s = monotonic()
        self.timers.run(now_s)
        if now_s >= self.next_tick_s:
            self.next_tick_s = now_s + TICK_S
            self.tick(now_s)
        if self.dirty:
            self.commit()
            dirty, self.dirty = self.dirty, []
            if self.node.holds:
                dirty = self.hold(now_s, dirty)
            for connection in dirty:
                self.flush(connection)

    def hold(self, now_s, connections):
        """Keep replies until enough nodes have what they tell of; return the connections that need not wait."""
        ready = self.node.hold(now_s, connections)
        for connection in connections:
            if connection.held_bytes >= OUT_BYTES_MAX:
                self.settle(connection)
        return ready

    def commit(self):
        """Make this turn's writes durable, before any of its replies leave. Raises OSError."""
        self.node.commit()

    def tick(self, now_s):
        """Once a second: drop clients that let their replies lie, and let the node look after itself."""
        if self.refusals > REFUSALS_LOGGED_PER_S:
            self.say(f"refused {self.refusals - REFUSALS_LOGGED_PER_S} more writes in the last second")
        self.refusals = 0
        for connection in list(self.connections.values()):
            if connection.stalled_since_s and now_s - connection.stalled_since_s > STALL_S:
                self.say(f"dropped {connection.peer}: it reads no replies")
                self.drop(connection)
        self.node.tick(now_s)

    # -- connections ------------------------------------------------------------------------------------

    def accept(self):
        """Take every client that waits."""
        while True:
            try:
                fd, address = self.listener._accept()
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE) or not self.turn_one_away():
                    return
                continue
            sock, peer = socket(fileno=fd), f"{address[0]}:{address[1]}"
            sock.setblocking(False)
            if len(self.connections) >= self.most_clients():
                self.turn_away(sock, peer)
            else:
                sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
                connection = Connection(sock, peer)
                connection.session = self.session_for(connection)
                self.add(connection)

    def add(self, connection):
        """Take a connection into the loop."""
        self.connections[connection.fd] = connection
        self.poller.register(connection.fd, connection.mask)

    def session_for(self, connection):
        """Return the conversation of a new client."""

        def on_refused(verb, key, why):
            self.refused(connection, verb, key, why)

        def become(session):
            connection.session = session
            session.connection = connection

        return FirstBytes(self.node, on_refused, become)

    def most_clients(self):
        """Return how many clients may be connected: the node keeps some file descriptors for its own files."""
        if self.clients_max is None:
            from resource import RLIMIT_NOFILE, getrlimit

            allowed = getrlimit(RLIMIT_NOFILE)[0]
            self.clients_max = (
                min(CONNECTIONS_MAX, max(1, allowed - OWN_FILES)) if allowed > 0 else CONNECTIONS_MAX
            )
        return self.clients_max

    def turn_one_away(self):
        """Out of file descriptors: use the spare one to tell a client so; return whether there was one."""
        posix.close(self.spare)
        try:
            fd, address = self.listener._accept()
            self.turn_away(socket(fileno=fd), f"{address[0]}:{address[1]}")
        except OSError:
            return False
        finally:
            self.clients_max = None
        self.spare = posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC)
        return True

    def turn_away(self, sock, peer):
        try:
            sock.send(b"ERR too many connections\n")
            self.say(f"turned {peer} away: {len(self.connections)} clients are connected")
        except OSError as error:
            self.say(f"turned {peer} away: {error.strerror}")
        sock.close()

    def on_event(self, connection, event):
        """Handle what is not simply readable."""
        if event & EPOLLOUT:
            self.flush(connection)
        if event & EPOLLIN and not connection.closed:
            self.readable(connection)
        elif event & (EPOLLHUP | EPOLLERR):
            self.drop(connection)

    def readable(self, connection):
        """Read once and let the session answer."""
        try:
            data = connection.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop(connection)
            return
        replies = connection.session.feed(data)
        if isinstance(replies, bytes):
            if replies:
                connection.out.append(replies)
                self.dirty.append(connection)
        else:
            connection.replies = replies
            self.pump(connection)

    def pump(self, connection):
        """Take replies from the session while the output has room; the rest waits until the client has read some."""
        connection.pump()
        if connection.later is not None:
            connection.later.when_filled = lambda: self.filled(connection)
        self.dirty.append(connection)

    def filled(self, connection):
        """An answer a connection waited for is there."""
        if not connection.closed and connection.take_later():
            self.pump(connection)

    def flush(self, connection):
        """Send what is waiting, in one call; wait for the client when it does not take everything."""
        out = connection.out
        data = out[0] if len(out) == 1 else b"".join(out)
        connection.out = []
        self.send_behind(connection, data)

    def send_behind(self, connection, data):
        """Send what the socket did not take before, then this."""
        if connection.sending:
            data = connection.sending + data
        if data:
            try:
                sent = self.send(connection, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.drop(connection)
                return
            connection.sending = data[sent:]
        if connection.sending or connection.mask != EPOLLIN or connection.replies or connection.closing:
            self.settle(connection)

    def send(self, connection, data):
        """Write to a client's socket; return how many bytes it took. Raises OSError."""
        return connection.sock.send(data)

    def settle(self, connection):
        """After sending: go on answering, close what is to be closed, and ask epoll for what can come next."""
        if connection.closed:
            return
        idle = not connection.sending and not connection.out
        if idle and connection.closing and not connection.held_bytes:
            self.drop(connection)
            return
        if idle and connection.replies is not None and connection.later is None:
            self.pump(connection)
        if not connection.sending:
            connection.stalled_since_s = 0.0
        elif not connection.stalled_since_s:
            connection.stalled_since_s = monotonic()
        self.ask_for(connection, connection.wanted())

    def ask_for(self, connection, mask):
        if mask != connection.mask:
            connection.mask = mask
            self.poller.modify(connection.fd, mask)

    def drop(self, connection):
        """Close one connection; nobody else notices."""
        if not connection.closed:
            del self.connections[connection.fd]
            connection.close()

    # -- what is said -----------------------------------------------------------------------------------

    def refused(self, connection, verb, key, why):
        """Say who asked for which write and was refused."""
        from kvstore.lines import shown

        self.refusals += 1
        if self.refusals <= REFUSALS_LOGGED_PER_S:
            self.say(f"refused {verb} {shown(key)[1:-1]} from {connection.peer}: {why}")

    def say(self, text):
        """Write one log line."""
        self.log.say(text)


def why_not_bound(host, port, error):
    """Return one line about a port that could not be had, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use; stop the process that holds it or choose another --port"
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights than this user has; choose a --port above 1023"
    return f"cannot listen on {host}:{port}: {error.strerror or error}"
