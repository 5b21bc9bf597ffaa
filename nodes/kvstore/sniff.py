"""Which protocol a new client speaks, told by its first bytes.

`*` begins RESP, and so does a first line that ends in `\\r\\n` (RESP's inline form), unless it begins with a verb that only
the line protocol has. Any other first line is the line protocol.
"""

from kvstore.limits import INLINE_BYTES_MAX
from kvstore.session import LineSession

LINES_ONLY = (b"PUT ", b"DELETE ", b"CAS ", b"STATUS", b"DIGEST", b"WAIT ", b"PROMOTE")


class FirstBytes:
    """The session of a client that has not said enough yet; replaces itself through `become(session)`."""

    def __init__(self, node, on_refused, become):
        self.node = node
        self.on_refused = on_refused
        self.become = become
        self.held = b""

    def feed(self, data):
        """As every session; hands over as soon as the protocol is known."""
        data = self.held + data
        end = data.find(b"\n")
        if data[0] != 42 and end < 0 and len(data) <= INLINE_BYTES_MAX:
            self.held = data
            return b""
        inline = data[max(end - 1, 0) : end] == b"\r" and not data[:8].upper().startswith(LINES_ONLY)
        if data[0] == 42 or inline:
            from kvstore.session_resp import RespSession

            session = RespSession(self.node, self.on_refused)
        else:
            session = LineSession(self.node, self.on_refused)
        self.become(session)
        return session.feed(data)
