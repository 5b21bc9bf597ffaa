"""One client's session in the line protocol: bytes in, replies out. Does not know sockets.

Override in a changed node: `do_put`, `do_get`, `do_delete`, `do_cas`, `do_ping`, `do_status`, and
`on_refused`, which is called when a write is refused.
"""

from kvstore import lines
from kvstore.errors import DiskFullError
from kvstore.replies import DeferredReply, IndependentReply, make_ack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kvstore.connection import ServerConnection
    from kvstore.interfaces import OnRefused, Replies, Reply
    from kvstore.node import StoreNode

PONG = IndependentReply(lines.PONG)


def encode_indeterminate(reason: str) -> bytes:
    """Return the reply to one write that may have happened."""
    return lines.encode_error(f"unknown: {reason}")


OK = make_ack(b"OK\n", encode_indeterminate)


class LineSession:
    """Decodes what one client sends, calls the node, and encodes the replies."""

    connection: "ServerConnection"

    def __init__(self, node: "StoreNode", on_refused: "OnRefused") -> None:
        self.node = node
        self.on_refused = on_refused
        self.decoder = lines.LineDecoder()

    def feed(self, data: bytes) -> "Replies":
        """Return the replies to the requests that are now complete: bytes, or an iterator."""
        complete = self.decoder.feed(data)
        if len(complete) == 1:
            reply = self.answer(complete[0])
            return iter((reply,)) if isinstance(reply, DeferredReply) else reply
        return map(self.answer, complete)

    def encode_error(self, text: str) -> bytes:
        """Return an error reply."""
        return lines.encode_error(text)

    def answer(self, line: bytes | None) -> "Reply":
        """Return the reply to one line; every line gets one. None is a line that was too long."""
        if line is None:
            limit = self.decoder.line_bytes_max
            return lines.encode_error(f"line longer than {limit} bytes; it was ignored")
        try:
            verb, arguments = lines.decode(line)
            return HANDLERS[verb](self, *arguments)
        except lines.BadLine as error:
            return lines.encode_error(str(error))
        except DiskFullError as error:
            return lines.encode_error(str(error))

    def refuse(self, verb: str, key: bytes) -> bytes | None:
        """Return the refusal of a write, or None if the node accepts writes."""
        reason = self.node.refusal()
        if reason is None:
            return None
        self.on_refused(verb, key, reason)
        return lines.encode_error(reason)

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        refused = self.refuse("PUT", key)
        if refused:
            return refused
        self.node.put(key, value)
        return OK

    def do_get(self, key: bytes) -> "Reply":
        value = self.node.get(key)
        if value is None:
            return lines.NOT_FOUND
        if b"\n" in value:
            return lines.encode_error(
                "the value holds a line end, which this protocol cannot encode; read it with RESP"
            )
        return lines.encode_value(value)

    def do_delete(self, key: bytes) -> "Reply":
        refused = self.refuse("DELETE", key)
        if refused:
            return refused
        return OK if self.node.delete(key) else lines.NOT_FOUND

    def do_cas(self, key: bytes, expected: bytes, value: bytes) -> "Reply":
        refused = self.refuse("CAS", key)
        if refused:
            return refused
        found = self.node.cas(key, expected, value)
        if found == expected:
            return OK
        return lines.NOT_FOUND if found is None else lines.encode_mismatch(found)

    def do_ping(self) -> "Reply":
        return PONG

    def do_status(self) -> "Reply":
        from kvstore import json_encode

        return IndependentReply(json_encode.encode(self.node.status()).encode() + b"\n")

    def do_digest(self) -> "Reply":
        return self.node.digest()

    def do_wait(self, index: bytes, timeout_ms: bytes = b"1000") -> "Reply":
        numbers = index.isdigit() and timeout_ms.isdigit()
        if not numbers or len(index) > 18 or len(timeout_ms) > 7:
            usage = lines.VERBS[b"WAIT"][2]
            raise lines.BadLine(f"WAIT takes an index and milliseconds as numbers; usage: {usage}")
        return self.node.wait(int(index), int(timeout_ms) / 1000)

    def do_promote(self, force: bytes = b"") -> "Reply":
        if force.upper() not in (b"", b"FORCE"):
            raise lines.BadLine("wrong arguments for PROMOTE; usage: PROMOTE [FORCE]")
        return self.node.promote(bool(force))

    def do_member(self, action: bytes, name: bytes, address: bytes = b"") -> "Reply":
        action = action.upper()
        if action not in (b"ADD", b"REMOVE") or (action == b"REMOVE" and address):
            usage = lines.VERBS[b"MEMBER"][2]
            raise lines.BadLine(f"wrong arguments for MEMBER; usage: {usage}")
        words = (word.decode("ascii", "replace") for word in (action, name, address))
        return self.node.change_members(*words)

    def do_peer(self, verb: str, arguments: tuple[bytes, ...]) -> "Reply":
        """Answer another node."""
        return self.node.from_peer(self.connection, verb, arguments)


# verb: the call that answers it. Through a lambda, so that a subclass may override the method.
HANDLERS: "dict[bytes, Callable[..., Reply]]" = {
    b"PUT": lambda session, key, value: session.do_put(key, value),
    b"GET": lambda session, key: session.do_get(key),
    b"DELETE": lambda session, key: session.do_delete(key),
    b"CAS": lambda session, key, _, expected, value: session.do_cas(key, expected, value),
    b"PING": lambda session: session.do_ping(),
    b"STATUS": lambda session: session.do_status(),
    b"DIGEST": lambda session: session.do_digest(),
    b"WAIT": lambda session, *arguments: session.do_wait(*arguments),
    b"PROMOTE": lambda session, *arguments: session.do_promote(*arguments),
    b"MEMBER": lambda session, *arguments: session.do_member(*arguments),
    b"FOLLOW": lambda session, *arguments: session.do_peer("FOLLOW", arguments),
    b"PROMISE": lambda session, *arguments: session.do_peer("PROMISE", arguments),
    b"ANNOUNCE": lambda session, *arguments: session.do_peer("ANNOUNCE", arguments),
    b"TRANSFER": lambda session, *arguments: session.do_peer("TRANSFER", arguments),
}
