"""One client's conversation in the line protocol: bytes in, replies out, through the node. Knows no sockets.

Seams for a changed node: `do_put`, `do_get`, `do_delete`, `do_cas`, `do_ping`, `do_status`, and `on_refused`, called with what was
asked for when a write is refused.
"""

from kvstore import lines
from kvstore.errors import DiskFullError
from kvstore.replies import Free, Later, ack

PONG = Free(lines.PONG)


def doubt(why):
    """Return the reply to one write that may have happened."""
    return lines.encode_error(f"unknown: {why}")


OK = ack(b"OK\n", doubt)


class LineSession:
    """Decodes what one client sends, asks the node, encodes the replies."""

    def __init__(self, node, on_refused):
        self.node = node
        self.on_refused = on_refused
        self.decoder = lines.Decoder()

    def feed(self, data):
        """Return the replies to the requests that are now whole: bytes, or an iterator of replies."""
        whole = self.decoder.feed(data)
        if len(whole) == 1:
            reply = self.answer(whole[0])
            return iter((reply,)) if isinstance(reply, Later) else reply
        return map(self.answer, whole)

    def encode_error(self, text):
        """Return an error reply."""
        return lines.encode_error(text)

    def answer(self, line):
        """Return the reply to one line; whatever the line holds, there is one."""
        if line is None:
            return lines.encode_error(f"line longer than {self.decoder.line_bytes_max} bytes; it was ignored")
        try:
            verb, words = lines.decode(line)
            return ANSWERS[verb](self, *words)
        except lines.BadLine as error:
            return lines.encode_error(str(error))
        except DiskFullError as error:
            return lines.encode_error(str(error))

    def refuse(self, verb, key):
        """Return the refusal of a write, or None when the node accepts writes."""
        why = self.node.refusal()
        if why is None:
            return None
        self.on_refused(verb, key, why)
        return lines.encode_error(why)

    def do_put(self, key, value):
        refused = self.refuse("PUT", key)
        if refused:
            return refused
        self.node.put(key, value)
        return OK

    def do_get(self, key):
        value = self.node.get(key)
        if value is None:
            return lines.NOT_FOUND
        if b"\n" in value:
            return lines.encode_error(
                "the value holds a line end and cannot be told in one line; read it with RESP"
            )
        return lines.encode_value(value)

    def do_delete(self, key):
        refused = self.refuse("DELETE", key)
        if refused:
            return refused
        return OK if self.node.delete(key) else lines.NOT_FOUND

    def do_cas(self, key, expected, value):
        refused = self.refuse("CAS", key)
        if refused:
            return refused
        held = self.node.cas(key, expected, value)
        if held == expected:
            return OK
        return lines.NOT_FOUND if held is None else lines.encode_mismatch(held)

    def do_ping(self):
        return PONG

    def do_status(self):
        from kvstore import jsonline

        return Free(jsonline.encode(self.node.status()).encode() + b"\n")

    def do_digest(self):
        return Free(f"VALUE {self.node.engine.applied} {self.node.engine.digest()}\n".encode())

    def do_wait(self, index, within_ms=b"1000"):
        if not (index.isdigit() and within_ms.isdigit()) or len(index) > 18 or len(within_ms) > 7:
            raise lines.BadLine(f"WAIT wants an index and milliseconds as numbers: {lines.VERBS[b'WAIT'][2]}")
        return self.node.wait(int(index), int(within_ms) / 1000)

    def do_promote(self, force=b""):
        if force.upper() not in (b"", b"FORCE"):
            raise lines.BadLine("PROMOTE has this shape: PROMOTE [FORCE]")
        return self.node.promote(bool(force))

    def do_peer(self, verb, words):
        """Answer another node."""
        return self.node.from_peer(self, verb, words)


ANSWERS = {
    b"PUT": lambda session, key, value: session.do_put(key, value),
    b"GET": lambda session, key: session.do_get(key),
    b"DELETE": lambda session, key: session.do_delete(key),
    b"CAS": lambda session, key, _, expected, value: session.do_cas(key, expected, value),
    b"PING": lambda session: session.do_ping(),
    b"STATUS": lambda session: session.do_status(),
    b"DIGEST": lambda session: session.do_digest(),
    b"WAIT": lambda session, *words: session.do_wait(*words),
    b"PROMOTE": lambda session, *words: session.do_promote(*words),
    b"FOLLOW": lambda session, *words: session.do_peer("FOLLOW", words),
    b"PROMISE": lambda session, *words: session.do_peer("PROMISE", words),
    b"ANNOUNCE": lambda session, *words: session.do_peer("ANNOUNCE", words),
}
