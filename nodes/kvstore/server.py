"""Sockets of one node: a single-threaded epoll loop. Knows nothing of keys, roles or what a request means.

One turn of the loop: read what is readable, let sessions answer into their connections, commit once, then
send, once a connection. So a reply never leaves before what it promises is in the log, and many writes share
one commit. Seams for a changed node: `starting`, `listen`, `ready`, `accept`, `session_for`, `send`,
`refused`, `say`, `on_signal`, `commit`, `stop`.
"""

import errno
import posix
from _signal import SIGINT, SIGTERM, set_wakeup_fd, signal
from _socket import AF_INET, AF_INET6, IPPROTO_TCP, SO_REUSEADDR, SOCK_STREAM, SOL_SOCKET, TCP_NODELAY, socket
from select import EPOLLHUP, EPOLLIN, EPOLLOUT, epoll
from time import monotonic

from kvstore.connection import Connection
from kvstore.errors import StartError
from kvstore.nodelog import NodeLog
from kvstore.session import LineSession

READ_BYTES = 65536
CONNECTIONS_MAX = 10_000
STALL_S = 30.0  # a client that has replies waiting and takes none of them for so long is dropped
TICK_S = 1.0
SIGNAL_NAMES = {SIGTERM: "SIGTERM", SIGINT: "SIGINT"}


class Server:
    """Owns the listening socket, the connections and the loop of one node."""

    def __init__(self, settings):
        self.settings = settings
        self.node = None  # set before `listen`
        self.log = NodeLog()
        self.connections = {}
        self.dirty = []
        self.stopping = False
        self.poller = epoll()
        self.listener = None
        self.wakeup = None
        self.next_tick_s = 0.0

    # -- the life of a node ----------------------------------------------------------------------------------

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
        while not self.stopping:
            for fd, event in self.poller.poll(TICK_S):
                connection = self.connections.get(fd)
                if connection is not None:
                    self.on_event(connection, event)
                elif fd == self.wakeup:
                    self.on_wakeup()
                elif fd == self.listener.fileno():
                    self.accept()
            self.end_turn()

    def on_wakeup(self):
        for number in posix.read(self.wakeup, 64):
            self.on_signal(number)

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

    # -- one turn --------------------------------------------------------------------------------------------

    def end_turn(self):
        """Commit what this turn wrote, then send what it answered; once a second, look for clients that do
        not read.
        """
        if self.dirty:
            dirty, self.dirty = self.dirty, []
            self.commit()
            for connection in dirty:
                self.flush(connection)
        now_s = monotonic()
        if now_s >= self.next_tick_s:
            self.next_tick_s = now_s + TICK_S
            self.tick(now_s)

    def commit(self):
        """Make this turn's writes durable, before any of its replies leave."""
        self.node.commit()

    def tick(self, now_s):
        """Drop clients that let their replies lie."""
        for connection in list(self.connections.values()):
            if connection.stalled_since_s and now_s - connection.stalled_since_s > STALL_S:
                self.say(f"dropped {connection.peer}: it reads no replies")
                self.drop(connection)

    # -- connections -----------------------------------------------------------------------------------------

    def accept(self):
        """Take every client that waits."""
        while True:
            try:
                fd, address = self.listener._accept()
            except OSError as error:
                if error.errno in (errno.EMFILE, errno.ENFILE):
                    self.make_room()
                return
            self.add(socket(fileno=fd), f"{address[0]}:{address[1]}")

    def add(self, sock, peer):
        sock.setblocking(False)
        if len(self.connections) >= CONNECTIONS_MAX:
            self.turn_away(sock, peer)
            return
        sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        connection = Connection(sock, peer)
        connection.session = self.session_for(connection)
        self.connections[connection.fd] = connection
        self.poller.register(connection.fd, EPOLLIN)

    def session_for(self, connection):
        """Return the conversation of a new client."""
        return LineSession(self.node, lambda verb, key, why: self.refused(connection, verb, key, why))

    def turn_away(self, sock, peer):
        try:
            sock.send(b"ERR too many connections\n")
            self.say(f"turned {peer} away: {CONNECTIONS_MAX} clients are connected")
        except OSError as error:
            self.say(f"turned {peer} away: {error.strerror}")
        sock.close()

    def make_room(self):
        """Out of file descriptors: let the client that was quiet for longest go, so that others can come."""
        for connection in self.connections.values():
            self.say(f"dropped {connection.peer}: out of file descriptors")
            self.drop(connection)
            return

    def on_event(self, connection, event):
        if event & EPOLLOUT:
            self.flush(connection)
            if connection.closed:
                return
            self.pump(connection)
        if event & EPOLLIN:
            self.readable(connection)
        elif event & ~EPOLLOUT and event & EPOLLHUP:
            self.drop(connection)

    def readable(self, connection):
        """Read once and let the session answer."""
        try:
            data = connection.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.drop(connection)
            return
        connection.replies = connection.session.feed(data)
        self.pump(connection)

    def pump(self, connection):
        """Take replies from the session while the output has room; the rest waits until the client has read
        some.
        """
        if connection.pump():
            self.dirty.append(connection)

    def flush(self, connection):
        """Send what is waiting, in one call; wait for the client when it does not take everything."""
        if connection.closed:
            return
        try:
            whole = self.send(connection)
        except BlockingIOError:
            whole = False
        except OSError:
            self.drop(connection)
            return
        self.await_room(connection, not whole)

    def send(self, connection):
        """Write this connection's waiting replies to its socket; return whether all went."""
        return connection.send()

    def await_room(self, connection, waiting):
        """While a client has replies to take, its requests are not read: that bounds what it can make us
        hold.
        """
        if waiting or connection.replies is not None:
            connection.stalled_since_s = connection.stalled_since_s or monotonic()
            self.poller.modify(connection.fd, EPOLLOUT)
        elif connection.stalled_since_s:
            connection.stalled_since_s = 0.0
            self.poller.modify(connection.fd, EPOLLIN)

    def drop(self, connection):
        """Close one connection; nobody else notices."""
        if not connection.closed:
            del self.connections[connection.fd]
            connection.close()

    # -- what is said ----------------------------------------------------------------------------------------

    def refused(self, connection, verb, key, why):
        """Say who asked for which write and was refused."""
        from kvstore.lines import shown

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
