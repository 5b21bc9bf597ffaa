"""The sockets of one node, in a single-threaded epoll loop. Does not know keys, roles or requests.

One turn of the loop: read what is readable; let sessions add replies to their connections; commit
once; then send once a connection. So no reply leaves before the writes it reports are in the log,
and many writes share one commit.

Override in a changed node: `log_start`, `listen`, `log_ready`, `accept`, `new_session`, `send`,
`log_refusal`, `log_line`, `on_signal`, `commit`, `stop`.
"""

import errno
import posix
from _heapq import heappop, heappush
from _socket import (
    AF_INET,
    AF_INET6,
    IPPROTO_TCP,
    SO_REUSEADDR,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_NODELAY,
    socket,
)
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, epoll
from time import monotonic

from kvstore.connection import ServerConnection
from kvstore.errors import StartError
from kvstore.limits import (
    CONNECTIONS_MAX,
    OUT_BYTES_MAX,
    READ_BYTES,
    REFUSALS_LOGGED_PER_S,
    RESERVED_FDS,
    STALL_S,
)
from kvstore.protocol_detection import ProtocolDetector
from kvstore.stdout_log import StdoutLog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from signal import SIGINT, SIGTERM, set_wakeup_fd, signal

    from kvstore.flags import Settings
    from kvstore.interfaces import Address, ClientSession, ServerSession
    from kvstore.node import StoreNode
else:
    # `import signal` would import `enum`
    from _signal import SIGINT, SIGTERM, set_wakeup_fd, signal

TICK_S = 1.0
SIGNAL_NAMES = {int(SIGTERM): "SIGTERM", int(SIGINT): "SIGINT"}


class Timers:
    """Calls that become due later, on the monotonic clock: a heap of (when, number, call)."""

    def __init__(self) -> None:
        self.heap: list[tuple[float, int, Callable[[], object]]] = []
        self.number = 0

    def after(self, delay_s: float, call: "Callable[[], object]") -> None:
        """Make `call()` once, `delay_s` seconds from now."""
        self.number += 1
        heappush(self.heap, (monotonic() + delay_s, self.number, call))

    def wait_s(self, longest_s: float) -> float:
        """Return how long the loop may sleep, at most `longest_s`."""
        if not self.heap:
            return longest_s
        return max(0.0, min(longest_s, self.heap[0][0] - monotonic()))

    def run(self, now_s: float) -> None:
        """Make the calls that are due."""
        while self.heap and self.heap[0][0] <= now_s:
            heappop(self.heap)[2]()


class StoreServer:
    """Owns the listening socket, the connections and the loop of one node.

    `node` is set before `listen`. `dirty` lists the connections with output of this turn. The
    spare file descriptor is closed to accept, and reject, a client when no other is left.
    """

    node: "StoreNode"

    def __init__(self, settings: "Settings") -> None:
        self.settings = settings
        self.stdout_log = StdoutLog()
        self.timers = Timers()
        self.connections: dict[int, ServerConnection] = {}
        self.dirty: list[ServerConnection] = []
        self.stopping = False
        self.poller = epoll()
        self.connections_max: int | None = None
        self.spare_fd = posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC)
        self.listener: socket | None = None
        self.wakeup_fd: int | None = None
        self.next_tick_s = 0.0
        self.refusals = 0

    # -- start, loop and stop --------------------------------------------------------------------

    def log_start(self) -> None:
        """Write the first log line."""
        self.log_line(f"starting as {self.settings.role.upper()} on port {self.settings.port}")

    def listen(self) -> None:
        """Bind and listen; raises StartError if the address cannot be bound."""
        host, port = self.settings.host, self.settings.port
        self.listener = socket(AF_INET6 if ":" in host else AF_INET, SOCK_STREAM)
        self.listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        self.listener.setblocking(False)
        try:
            self.listener.bind((host, port))
            self.listener.listen(1024)
        except OSError as error:
            raise StartError(describe_bind_error(host, port, error)) from error
        self.poller.register(self.listener.fileno(), EPOLLIN)

    def log_ready(self) -> None:
        """Write the log line that clients may connect."""
        host, port = self.settings.host, self.settings.port
        self.log_line(f"listening on {host}:{port} pid {posix.getpid()}")

    def watch_signals(self) -> None:
        """Make SIGTERM and SIGINT events of the loop."""
        self.wakeup_fd, write_end = posix.pipe2(posix.O_NONBLOCK | posix.O_CLOEXEC)
        set_wakeup_fd(write_end, warn_on_full_buffer=False)
        for number in SIGNAL_NAMES:
            signal(number, lambda *_: None)
        self.poller.register(self.wakeup_fd, EPOLLIN)

    def serve(self) -> None:
        """Run the loop until the node is stopped. Raises OSError when its disk fails."""
        poll, connections = self.poller.poll, self.connections
        while not self.stopping:
            for fd, event in poll(0 if self.dirty else self.timers.wait_s(TICK_S)):
                connection = connections.get(fd)
                if connection is None:
                    self.on_own_event(fd)
                elif event == EPOLLIN:
                    self.read(connection)
                else:
                    self.on_event(connection, event)
            self.end_turn()

    def on_own_event(self, fd: int) -> None:
        """Handle an event of the signal pipe or of the listening socket."""
        if fd == self.wakeup_fd:
            for number in posix.read(fd, 64):
                self.on_signal(number)
        elif self.listener is not None and fd == self.listener.fileno():
            self.accept(self.listener)

    def on_signal(self, number: int) -> None:
        """Leave the loop after this turn."""
        self.log_line(f"stopping: {SIGNAL_NAMES.get(number, number)}")
        self.stopping = True

    def stop(self) -> None:
        """Close the sockets. The caller closes the engine."""
        for connection in list(self.connections.values()):
            self.drop(connection)
        if self.listener is not None:
            self.listener.close()
        self.poller.close()

    # -- one turn --------------------------------------------------------------------------------

    def end_turn(self) -> None:
        """Make the calls that are due, commit this turn's writes, then send its replies."""
        now_s = monotonic()
        self.timers.run(now_s)
        if now_s >= self.next_tick_s:
            self.next_tick_s = now_s + TICK_S
            self.tick(now_s)
        if self.dirty:
            self.commit()
            dirty, self.dirty = self.dirty, []
            if self.node.commit_needs_followers:
                dirty = self.queue_replies(now_s, dirty)
            for connection in dirty:
                self.flush(connection)

    def queue_replies(
        self, now_s: float, connections: list[ServerConnection]
    ) -> list[ServerConnection]:
        """Keep replies until enough nodes have the writes they depend on.

        Return the connections that need not wait.
        """
        ready = self.node.queue_replies(now_s, connections)
        for connection in connections:
            if connection.queued_bytes >= OUT_BYTES_MAX:
                self.after_send(connection)
        return ready

    def commit(self) -> None:
        """Make this turn's writes durable, before any of its replies leave. Raises OSError."""
        self.node.commit()

    def tick(self, now_s: float) -> None:
        """Once a second: drop clients that read no replies, and call the node's own `tick`."""
        if self.refusals > REFUSALS_LOGGED_PER_S:
            more = self.refusals - REFUSALS_LOGGED_PER_S
            self.log_line(f"refused {more} more writes in the last second")
        self.refusals = 0
        for connection in list(self.connections.values()):
            stalled_since_s = connection.stalled_since_s
            if stalled_since_s and now_s - stalled_since_s > STALL_S:
                self.log_line(f"dropped {connection.peer}: it reads no replies")
                self.drop(connection)
        self.node.tick()

    # -- connections -----------------------------------------------------------------------------

    def accept(self, listener: socket) -> None:
        """Accept every client that waits."""
        while True:
            try:
                fd, address = accept_one(listener)
            except OSError as error:
                no_fd_left = error.errno in (errno.EMFILE, errno.ENFILE)
                if not no_fd_left or not self.reject_one(listener):
                    return
                continue
            sock, peer = socket(fileno=fd), f"{address[0]}:{address[1]}"
            sock.setblocking(False)
            if len(self.connections) >= self.connection_limit():
                self.reject(sock, peer)
            else:
                sock.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
                connection = ServerConnection(sock, peer)
                connection.session = self.new_session(connection)
                self.add(connection)

    def add(self, connection: ServerConnection) -> None:
        """Add a connection to the loop."""
        self.connections[connection.fd] = connection
        self.poller.register(connection.fd, connection.mask)

    def new_session(self, connection: ServerConnection) -> "ServerSession":
        """Return the session of a new client."""

        def on_refused(verb: str, key: bytes, reason: str) -> None:
            self.log_refusal(connection, verb, key, reason)

        def become(session: "ClientSession") -> None:
            set_session(connection, session)

        return ProtocolDetector(self.node, on_refused, become)

    def connection_limit(self) -> int:
        """Return how many clients may be connected.

        The node keeps some file descriptors for its own files.
        """
        if self.connections_max is None:
            from resource import RLIMIT_NOFILE, getrlimit

            allowed = getrlimit(RLIMIT_NOFILE)[0]
            limited = min(CONNECTIONS_MAX, max(1, allowed - RESERVED_FDS))
            self.connections_max = limited if allowed > 0 else CONNECTIONS_MAX
        return self.connections_max

    def reject_one(self, listener: socket) -> bool:
        """No file descriptor is left: use the spare one to reject one client.

        Return whether a client waited.
        """
        posix.close(self.spare_fd)
        try:
            fd, address = accept_one(listener)
            self.reject(socket(fileno=fd), f"{address[0]}:{address[1]}")
        except OSError:
            return False
        finally:
            self.connections_max = None
        self.spare_fd = posix.open("/dev/null", posix.O_RDONLY | posix.O_CLOEXEC)
        return True

    def reject(self, sock: socket, peer: str) -> None:
        """Send an error to a client that is too many, and close its socket."""
        try:
            sock.send(b"ERR too many connections\n")
            self.log_line(f"rejected {peer}: {len(self.connections)} clients are connected")
        except OSError as error:
            self.log_line(f"rejected {peer}: {error.strerror}")
        sock.close()

    def on_event(self, connection: ServerConnection, event: int) -> None:
        """Handle any event but plain readability."""
        if event & EPOLLOUT:
            self.flush(connection)
        if event & EPOLLIN and not connection.closed:
            self.read(connection)
        elif event & (EPOLLHUP | EPOLLERR):
            self.drop(connection)

    def read(self, connection: ServerConnection) -> None:
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
            self.fill_output(connection)

    def fill_output(self, connection: ServerConnection) -> None:
        """Take replies from the session while the output has space.

        The rest waits until the client has read some.
        """
        connection.fill_output()
        if connection.deferred is not None:
            connection.deferred.on_filled = lambda: self.on_deferred_filled(connection)
        self.dirty.append(connection)

    def on_deferred_filled(self, connection: ServerConnection) -> None:
        """Continue with a connection whose deferred reply is filled."""
        if not connection.closed and connection.take_deferred():
            self.fill_output(connection)

    def flush(self, connection: ServerConnection) -> None:
        """Send the output of a connection, in one call."""
        out = connection.out
        data = out[0] if len(out) == 1 else b"".join(out)
        connection.out = []
        self.send_in_order(connection, data)

    def send_in_order(self, connection: ServerConnection, data: bytes) -> None:
        """Send what the socket did not take before, then `data`."""
        if connection.unsent:
            data = connection.unsent + data
        if data:
            try:
                sent = self.send(connection, data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self.drop(connection)
                return
            connection.unsent = data[sent:]
        if (
            connection.unsent
            or connection.mask != EPOLLIN
            or connection.replies
            or connection.closing
        ):
            self.after_send(connection)

    def send(self, connection: ServerConnection, data: bytes) -> int:
        """Write to a client's socket; return how many bytes it took. Raises OSError."""
        return connection.sock.send(data)

    def after_send(self, connection: ServerConnection) -> None:
        """Continue answering, close if due, and set the events that epoll reports."""
        if connection.closed:
            return
        idle = not connection.unsent and not connection.out
        if idle and connection.closing and not connection.queued_bytes:
            self.drop(connection)
            return
        if idle and connection.replies is not None and connection.deferred is None:
            self.fill_output(connection)
        if not connection.unsent:
            connection.stalled_since_s = 0.0
        elif not connection.stalled_since_s:
            connection.stalled_since_s = monotonic()
        mask = connection.interest()
        if mask != connection.mask:
            connection.mask = mask
            self.poller.modify(connection.fd, mask)

    def drop(self, connection: ServerConnection) -> None:
        """Close one connection. The others are not affected."""
        if not connection.closed:
            del self.connections[connection.fd]
            connection.close()

    # -- log lines -------------------------------------------------------------------------------

    def log_refusal(self, connection: ServerConnection, verb: str, key: bytes, reason: str) -> None:
        """Log which client asked for which write and was refused."""
        from kvstore.lines import quote

        self.refusals += 1
        if self.refusals <= REFUSALS_LOGGED_PER_S:
            self.log_line(f"refused {verb} {quote(key)[1:-1]} from {connection.peer}: {reason}")

    def log_line(self, text: str) -> None:
        """Write one log line."""
        self.stdout_log.write_line(text)


def accept_one(listener: socket) -> "tuple[int, Address]":
    """Accept one client; return (file descriptor, its address). Raises OSError."""
    # `socket.accept` is written in Python, in a module that costs start-up time
    fd, address = listener._accept()  # type: ignore[attr-defined]
    return fd, address


def set_session(connection: ServerConnection, session: "ClientSession") -> None:
    """Make this the session of a client's connection."""
    connection.session = session
    connection.encode_error = session.encode_error
    session.connection = connection


def describe_bind_error(host: str, port: int, error: OSError) -> str:
    """Return one line: why a port cannot be bound, and what to do."""
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use; "
            "stop the process that holds it or choose another --port"
        )
    if error.errno == errno.EACCES:
        return f"port {port} needs more rights than this user has; choose a --port above 1023"
    return f"cannot listen on {host}:{port}: {error.strerror or error}"
