"""Detect from a new client's first bytes which protocol it speaks.

`*` begins RESP. So does a first line that ends in `\\r\\n` (RESP's inline form), unless it begins
with a verb that only the line protocol has. Any other first line is the line protocol.
"""

from kvstore.limits import INLINE_BYTES_MAX
from kvstore.line_session import LineSession

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kvstore.interfaces import ClientSession, OnRefused, Replies
    from kvstore.node import StoreNode

LINE_PROTOCOL_ONLY = (
    b"PUT ",
    b"DELETE ",
    b"CAS ",
    b"STATUS",
    b"DIGEST",
    b"WAIT ",
    b"PROMOTE",
    b"MEMBER ",
)


class ProtocolDetector:
    """The session of a client whose protocol is not known yet.

    It replaces itself: `become(session)` sets the connection's session.
    """

    def __init__(
        self,
        node: "StoreNode",
        on_refused: "OnRefused",
        become: "Callable[[ClientSession], object]",
    ) -> None:
        self.node = node
        self.on_refused = on_refused
        self.become = become
        self.buffered = b""

    def feed(self, data: bytes) -> "Replies":
        """Return the replies of the detected session; b"" while the protocol is not known."""
        data = self.buffered + data
        end = data.find(b"\n")
        if data[0] != 42 and end < 0 and len(data) <= INLINE_BYTES_MAX:
            self.buffered = data
            return b""
        ends_in_cr = data[max(end - 1, 0) : end] == b"\r"
        session: ClientSession
        if data[0] == 42 or (ends_in_cr and not data[:8].upper().startswith(LINE_PROTOCOL_ONLY)):
            from kvstore.resp_session import RespSession

            session = RespSession(self.node, self.on_refused)
        else:
            session = LineSession(self.node, self.on_refused)
        self.become(session)
        return session.feed(data)
