"""One client's conversation in RESP2: bytes in, replies out, through the node. Knows no sockets.

Imported when the first client speaks RESP. A pipeline of one kind of request is answered as a whole; all else one by one.
"""

from kvstore import resp
from kvstore.errors import DiskFullError
from kvstore.limits import KEY_BYTES_MAX, OUT_BYTES_MAX, VALUE_BYTES_MAX
from kvstore.replies import CLOSE, Free, ack
from kvstore.resp import NULL, encode_array, encode_bulk, encode_error, encode_int, run_of_gets, run_of_sets

SET, GET = b"SET", b"GET"


def doubt(why):
    """Return the reply to one write that may have happened."""
    return encode_error(why, "UNKNOWN")


OKS = {count: ack(resp.OK, doubt, count) for count in range(1, 65)}


class RespSession:
    """Decodes what one client sends, asks the node, encodes the replies."""

    def __init__(self, node, on_refused):
        self.node = node
        self.on_refused = on_refused
        self.held = b""
        self.needed = 0
        self.null = (
            NULL  # RESP3, which some clients insist on, differs from RESP2 in this alone, and in HELLO
        )

    def feed(self, data):
        """Return the replies to the requests that are now whole: bytes, or an iterator of replies."""
        if self.held:
            data = self.held + data
            self.held = b""
            if len(data) < self.needed:
                self.held = data
                return b""
        verb = data[8:11]
        if verb == GET:
            keys = run_of_gets(data)
            if keys is not None and (len(keys) == 1 or not self.node.holds):
                return self.get_all(keys)
        elif verb == SET and self.node.refusal() is None:
            run = run_of_sets(data)
            if run is not None and (len(data) <= KEY_BYTES_MAX or self.within_limits(*run)):
                return self.set_all(*run, data)
        return self.one_by_one(data)

    def encode_error(self, text):
        """Return an error reply."""
        return encode_error(text)

    def within_limits(self, keys, values, _):
        return max(map(len, keys)) <= KEY_BYTES_MAX and max(map(len, values)) <= VALUE_BYTES_MAX

    def set_all(self, keys, values, _, data):
        """Carry out a run of SETs; the node has been asked whether it accepts writes."""
        try:
            self.node.put_all(keys, values, data)
        except DiskFullError as error:
            return encode_error(str(error)) * len(keys)
        count = len(keys)
        return OKS[count] if count in OKS else ack(resp.OK, doubt, count)

    def get_all(self, keys):
        """Carry out a run of GETs."""
        if len(keys) == 1:
            value = self.node.get(keys[0])
            return self.null if value is None else b"$%d\r\n%b\r\n" % (len(value), value)
        values = self.node.get_all(keys)
        if None not in values:
            sizes = set(map(len, values))
            if len(sizes) == 1 and len(values) * (size := sizes.pop()) < OUT_BYTES_MAX:
                return b"$%d\r\n%b\r\n" % (size, (b"\r\n$%d\r\n" % size).join(values))
        return (self.null if value is None else b"$%d\r\n%b\r\n" % (len(value), value) for value in values)

    def one_by_one(self, data):
        """Yield the reply to each request, in order; ends the connection when the stream makes no sense."""
        try:
            requests, self.held, self.needed = resp.decode(data)
        except resp.BadRequest as error:
            yield from map(self.answer, error.done)
            yield Free(encode_error(f"Protocol error: {error}"))
            yield CLOSE
            return
        for words in requests:
            yield self.answer(words)
            if words[0].upper() == b"QUIT":
                yield CLOSE

    def answer(self, words):
        """Return the reply to one request; whatever its words are, there is one."""
        verb, *rest = words
        verb = verb.upper()
        try:
            method, fewest, most = ANSWERS[verb]
        except KeyError:
            return Free(encode_error(f"unknown command {verb[:40]!r}; known are {KNOWN}"))
        if not fewest <= len(rest) <= most:
            return Free(encode_error(f"wrong number of arguments for {verb.decode()!r}"))
        try:
            return method(self, *rest)
        except DiskFullError as error:
            return encode_error(str(error))

    def refuse(self, verb, key):
        """Return the refusal of a write, or None when the node accepts writes."""
        why = self.node.refusal()
        if why is None:
            return None
        self.on_refused(verb, key, why)
        return encode_error(why, "READONLY" if why.startswith("read-only") else "ERR")

    def do_set(self, key, value, *condition):
        refused = self.refuse("SET", key)
        if refused:
            return refused
        if not self.within_limits((key,), (value,), b""):
            return encode_error(f"keys have at most {KEY_BYTES_MAX} bytes, values {VALUE_BYTES_MAX}")
        if condition:
            return self.set_if(key, value, *condition)
        self.node.put(key, value)
        return OKS[1]

    def set_if(self, key, value, option, expected=None):
        """Carry out `SET key value IFEQ expected`, compare-and-set as Redis 8.4 says it: OK, or null when it does not match."""
        if option.upper() != b"IFEQ" or expected is None:
            return encode_error("SET has this shape: SET key value [IFEQ expected]")
        return OKS[1] if self.node.cas(key, expected, value) == expected else self.null

    def do_get(self, key):
        return self.get_all((key,))

    def do_delete(self, *keys):
        refused = self.refuse("DEL", keys[0])
        if refused:
            return refused
        return ack(encode_int(sum(map(self.node.delete, keys))), doubt)

    def do_exists(self, *keys):
        return encode_int(sum(self.node.get(key) is not None for key in keys))

    def do_ping(self, text=None):
        return Free(resp.PONG if text is None else encode_bulk(text))

    def do_echo(self, text):
        return Free(encode_bulk(text))

    def do_size(self):
        return encode_int(len(self.node.engine))

    def do_role(self):
        return Free(encode_role(self.node.status()))

    def do_info(self, *_):
        status = self.node.status()
        known = {"redis_version": "7.0.0", "redis_mode": "standalone", "server_name": "kvstore"}
        known |= {"role": "master" if status["role"] == "leader" else "slave"}
        shown = "".join(
            f"{name}:{value}\r\n"
            for name, value in (known | {"kv_" + k: v for k, v in status.items()}).items()
        )
        return Free(encode_bulk(f"# kvstore\r\n{shown}".encode()))

    def do_status(self):
        from kvstore import jsonline

        return Free(encode_bulk(jsonline.encode(self.node.status()).encode()))

    def do_command(self, *_):
        return Free(encode_array([]))

    def do_config(self, what, *names):
        if what.upper() != b"GET":
            return Free(encode_error("only CONFIG GET is known"))
        known = {b"save": b"", b"appendonly": b"yes", b"appendfsync": self.node.settings.fsync.encode()}
        found = [
            part
            for name in names
            for part in (name.lower(), known.get(name.lower()))
            if name.lower() in known
        ]
        return Free(encode_array([encode_bulk(part) for part in found]))

    def do_hello(self, version=b"2", *_):
        if version not in (b"2", b"3"):
            return Free(encode_error(f"unsupported protocol version {version[:9]!r}", "NOPROTO"))
        self.null = NULL if version == b"2" else b"_\r\n"
        parts = [b"server", b"kvstore", b"version", b"7.0.0", b"proto"]
        facts = [*map(encode_bulk, parts), encode_int(int(version)), encode_bulk(b"id"), encode_int(1)]
        return Free(
            encode_array(facts) if version == b"2" else b"%%%d\r\n%b" % (len(facts) // 2, b"".join(facts))
        )

    def do_select(self, number):
        return Free(resp.OK if number == b"0" else encode_error("there is one database, 0"))

    def do_quit(self):
        return Free(resp.OK)


def encode_role(status):
    """Return Redis' ROLE reply for a STATUS dictionary."""
    if status["role"] == "leader":
        copies = [
            encode_array(
                [encode_bulk(str(part).encode()) for part in (*peer["addr"].rsplit(":", 1), peer["index"])]
            )
            for peer in status["followers"]
        ]
        return encode_array([encode_bulk(b"master"), encode_int(status["applied"]), encode_array(copies)])
    host, _, port = (status["leader"] or ":0").rpartition(":")
    state = b"connected" if status["linked"] else b"connect"
    parts = [encode_bulk(b"slave"), encode_bulk(host.encode()), encode_int(int(port)), encode_bulk(state)]
    return encode_array([*parts, encode_int(status["applied"])])


# verb: (method, fewest words behind it, most words)
ANSWERS = {
    SET: (RespSession.do_set, 2, 4),
    GET: (RespSession.do_get, 1, 1),
    b"DEL": (RespSession.do_delete, 1, 1023),
    b"EXISTS": (RespSession.do_exists, 1, 1023),
    b"DBSIZE": (RespSession.do_size, 0, 0),
    b"PING": (RespSession.do_ping, 0, 1),
    b"ECHO": (RespSession.do_echo, 1, 1),
    b"ROLE": (RespSession.do_role, 0, 0),
    b"INFO": (RespSession.do_info, 0, 9),
    b"STATUS": (RespSession.do_status, 0, 0),
    b"COMMAND": (RespSession.do_command, 0, 99),
    b"CONFIG": (RespSession.do_config, 1, 99),
    b"HELLO": (RespSession.do_hello, 0, 7),
    b"SELECT": (RespSession.do_select, 1, 1),
    b"QUIT": (RespSession.do_quit, 0, 0),
}
KNOWN = ", ".join(verb.decode() for verb in ANSWERS)
