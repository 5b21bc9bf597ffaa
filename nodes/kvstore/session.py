"""One client's conversation in the line protocol: bytes in, replies out, through the node. Knows no sockets.

Seams for a changed node: `do_put`, `do_get`, `do_delete`, `do_ping`, `do_status`, and `on_refused`, called
with what was asked for when a write is refused.
"""

from kvstore import lines


class LineSession:
    """Decodes what one client sends, asks the node, encodes the replies."""

    def __init__(self, node, on_refused):
        self.node = node
        self.on_refused = on_refused
        self.decoder = lines.Decoder()

    def feed(self, data):
        """Yield the reply to each request that is now whole, in order."""
        for line in self.decoder.feed(data):
            yield self.answer(line)

    def answer(self, line):
        """Return the reply to one line; whatever the line holds, there is one."""
        if line is None:
            return lines.encode_error(f"line longer than {self.decoder.line_bytes_max} bytes; it was ignored")
        try:
            verb, key, value = lines.decode(line)
        except lines.BadLine as error:
            return lines.encode_error(str(error))
        return ANSWERS[verb](self, key, value)

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
        return lines.OK

    def do_get(self, key, _):
        value = self.node.get(key)
        return lines.NOT_FOUND if value is None else lines.encode_value(value)

    def do_delete(self, key, _):
        refused = self.refuse("DELETE", key)
        if refused:
            return refused
        return lines.OK if self.node.delete(key) else lines.NOT_FOUND

    def do_ping(self, _, __):
        return lines.PONG

    def do_status(self, _, __):
        from kvstore import jsonline

        return jsonline.encode(self.node.status()).encode() + b"\n"


ANSWERS = {
    b"PUT": lambda session, key, value: session.do_put(key, value),
    b"GET": lambda session, key, value: session.do_get(key, value),
    b"DELETE": lambda session, key, value: session.do_delete(key, value),
    b"PING": lambda session, key, value: session.do_ping(key, value),
    b"STATUS": lambda session, key, value: session.do_status(key, value),
}
