"""One client's session in RESP2: bytes in, replies out. Does not know sockets.

Imported when the first client speaks RESP. A pipeline of requests of one kind is answered as a
whole, anything else request by request.
"""

from kvstore import resp
from kvstore.errors import DiskFullError
from kvstore.limits import KEY_BYTES_MAX, OUT_BYTES_MAX, VALUE_BYTES_MAX
from kvstore.replies import CLOSE, IndependentReply, make_ack
from kvstore.resp import (
    NULL,
    decode_gets,
    decode_sets,
    encode_array,
    encode_bulk,
    encode_error,
    encode_int,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from kvstore.connection import ServerConnection
    from kvstore.interfaces import OnRefused, Replies, Reply
    from kvstore.node import StoreNode

SET, GET = b"SET", b"GET"


def encode_indeterminate(reason: str) -> bytes:
    """Return the reply to one write that may have happened."""
    return encode_error(reason, "UNKNOWN")


OKS = {count: make_ack(resp.OK, encode_indeterminate, count) for count in range(1, 65)}


class RespSession:
    """Decodes what one client sends, calls the node, and encodes the replies.

    `null` is the reply for a missing value: in RESP3, which some clients insist on, it is another
    one than in RESP2. This and HELLO are the only differences that this store makes.
    """

    connection: "ServerConnection"

    def __init__(self, node: "StoreNode", on_refused: "OnRefused") -> None:
        self.node = node
        self.on_refused = on_refused
        self.buffered = b""
        self.needed = 0
        self.null = NULL

    def feed(self, data: bytes) -> "Replies":
        """Return the replies to the requests that are now complete: bytes, or an iterator."""
        if self.buffered:
            data = self.buffered + data
            self.buffered = b""
            if len(data) < self.needed:
                self.buffered = data
                return b""
        verb = data[8:11]
        if verb == GET:
            keys = decode_gets(data)
            if keys is not None and (len(keys) == 1 or not self.node.commit_needs_followers):
                return self.get_all(keys)
        elif verb == SET and self.node.refusal() is None:
            sets = decode_sets(data)
            if sets is not None and (len(data) <= KEY_BYTES_MAX or self.within_limits(*sets)):
                return self.set_all(*sets, data)
        return self.answer_each(data)

    def encode_error(self, text: str) -> bytes:
        """Return an error reply."""
        return encode_error(text)

    def within_limits(self, keys: "Sequence[bytes]", values: "Sequence[bytes]") -> bool:
        """Whether no key and no value is too long."""
        return max(map(len, keys)) <= KEY_BYTES_MAX and max(map(len, values)) <= VALUE_BYTES_MAX

    def set_all(self, keys: "Sequence[bytes]", values: "Sequence[bytes]", data: bytes) -> bytes:
        """Execute a pipeline of SETs, encoded as `data`. The node accepts writes."""
        try:
            self.node.put_all(keys, values, data)
        except DiskFullError as error:
            return encode_error(str(error)) * len(keys)
        count = len(keys)
        return OKS[count] if count in OKS else make_ack(resp.OK, encode_indeterminate, count)

    def get_all(self, keys: list[bytes]) -> "bytes | Iterator[bytes]":
        """Execute a pipeline of GETs."""
        if len(keys) == 1:
            return self.get_one(keys[0])
        values = self.node.get_all(keys)
        if None not in values:
            # a copy without None would satisfy the type checker, and take time for every pipeline
            found: list[bytes] = values  # type: ignore[assignment]
            sizes = set(map(len, found))
            if len(sizes) == 1 and len(found) * (size := sizes.pop()) < OUT_BYTES_MAX:
                return b"$%d\r\n%b\r\n" % (size, (b"\r\n$%d\r\n" % size).join(found))
        return (self.null if value is None else encode_bulk(value) for value in values)

    def get_one(self, key: bytes) -> bytes:
        """Execute one GET."""
        value = self.node.get(key)
        return self.null if value is None else b"$%d\r\n%b\r\n" % (len(value), value)

    def answer_each(self, data: bytes) -> "Iterator[Reply]":
        """Yield the reply to each request, in order; close if the stream cannot be decoded."""
        try:
            requests, self.buffered, self.needed = resp.decode(data)
        except resp.BadRequest as error:
            yield from map(self.answer, error.requests)
            yield IndependentReply(encode_error(f"Protocol error: {error}"))
            yield CLOSE
            return
        for request in requests:
            yield self.answer(request)
            if request[0].upper() == b"QUIT":
                yield CLOSE

    def answer(self, request: list[bytes]) -> bytes:
        """Return the reply to one request; every request gets one."""
        verb, *arguments = request
        verb = verb.upper()
        try:
            method, minimum, maximum = HANDLERS[verb]
        except KeyError:
            known = f"unknown command {verb[:40]!r}; known are {KNOWN}"
            return IndependentReply(encode_error(known))
        if not minimum <= len(arguments) <= maximum:
            wrong = f"wrong number of arguments for {verb.decode()!r}"
            return IndependentReply(encode_error(wrong))
        try:
            return method(self, *arguments)
        except DiskFullError as error:
            return encode_error(str(error))

    def refuse(self, verb: str, key: bytes) -> bytes | None:
        """Return the refusal of a write, or None if the node accepts writes."""
        reason = self.node.refusal()
        if reason is None:
            return None
        self.on_refused(verb, key, reason)
        return encode_error(reason, "READONLY" if reason.startswith("read-only") else "ERR")

    def do_set(self, key: bytes, value: bytes, *condition: bytes) -> bytes:
        refused = self.refuse("SET", key)
        if refused:
            return refused
        if not self.within_limits((key,), (value,)):
            limits = f"keys have at most {KEY_BYTES_MAX} bytes, values {VALUE_BYTES_MAX}"
            return encode_error(limits)
        if condition:
            return self.set_if(key, value, *condition)
        self.node.put(key, value)
        return OKS[1]

    def set_if(
        self, key: bytes, value: bytes, option: bytes, expected: bytes | None = None
    ) -> bytes:
        """Execute `SET key value IFEQ expected`, the compare-and-set of Redis 8.4.

        Return OK, or null if the key does not hold `expected`.
        """
        if option.upper() != b"IFEQ" or expected is None:
            return encode_error("wrong arguments for SET; usage: SET key value [IFEQ expected]")
        return OKS[1] if self.node.cas(key, expected, value) == expected else self.null

    def do_get(self, key: bytes) -> bytes:
        return self.get_one(key)

    def do_delete(self, *keys: bytes) -> bytes:
        refused = self.refuse("DEL", keys[0])
        if refused:
            return refused
        return make_ack(encode_int(sum(map(self.node.delete, keys))), encode_indeterminate)

    def do_exists(self, *keys: bytes) -> bytes:
        return encode_int(sum(self.node.get(key) is not None for key in keys))

    def do_ping(self, text: bytes | None = None) -> bytes:
        return IndependentReply(resp.PONG if text is None else encode_bulk(text))

    def do_echo(self, text: bytes) -> bytes:
        return IndependentReply(encode_bulk(text))

    def do_size(self) -> bytes:
        return encode_int(len(self.node.engine))

    def do_role(self) -> bytes:
        return IndependentReply(encode_role(self.node.status()))

    def do_info(self, *_: bytes) -> bytes:
        status = self.node.status()
        role = "master" if status["role"] == "leader" else "slave"
        info = {"redis_version": "7.0.0", "redis_mode": "standalone", "server_name": "kvstore"}
        info |= {"role": role, **{f"kv_{name}": value for name, value in status.items()}}
        lines = "".join(f"{name}:{value}\r\n" for name, value in info.items())
        return IndependentReply(encode_bulk(f"# kvstore\r\n{lines}".encode()))

    def do_status(self) -> bytes:
        from kvstore import json_encode

        return IndependentReply(encode_bulk(json_encode.encode(self.node.status()).encode()))

    def do_command(self, *_: bytes) -> bytes:
        return IndependentReply(encode_array([]))

    def do_config(self, action: bytes, *names: bytes) -> bytes:
        if action.upper() != b"GET":
            return IndependentReply(encode_error("only CONFIG GET is known"))
        fsync = self.node.settings.fsync.encode()
        known = {b"save": b"", b"appendonly": b"yes", b"appendfsync": fsync}
        found = [name.lower() for name in names if name.lower() in known]
        pairs = [encode_bulk(part) for name in found for part in (name, known[name])]
        return IndependentReply(encode_array(pairs))

    def do_hello(self, version: bytes = b"2", *_: bytes) -> bytes:
        if version not in (b"2", b"3"):
            unsupported = f"unsupported protocol version {version[:9]!r}"
            return IndependentReply(encode_error(unsupported, "NOPROTO"))
        self.null = NULL if version == b"2" else b"_\r\n"
        parts = [b"server", b"kvstore", b"version", b"7.0.0", b"proto"]
        items = [*map(encode_bulk, parts), encode_int(int(version))]
        items += [encode_bulk(b"id"), encode_int(1)]
        if version == b"2":
            return IndependentReply(encode_array(items))
        return IndependentReply(b"%%%d\r\n%b" % (len(items) // 2, b"".join(items)))

    def do_select(self, number: bytes) -> bytes:
        only = encode_error("there is one database, 0")
        return IndependentReply(resp.OK if number == b"0" else only)

    def do_quit(self) -> bytes:
        return IndependentReply(resp.OK)


def encode_role(status: "dict[str, Any]") -> bytes:
    """Return Redis' ROLE reply for a STATUS dictionary."""
    if status["role"] == "leader":
        followers = [
            encode_array([encode_bulk(part.encode()) for part in _role_parts(follower)])
            for follower in status["followers"]
        ]
        applied = encode_int(status["applied"])
        return encode_array([encode_bulk(b"master"), applied, encode_array(followers)])
    host, _, port = (status["leader"] or ":0").rpartition(":")
    state = b"connected" if status["linked"] else b"connect"
    parts = [encode_bulk(b"slave"), encode_bulk(host.encode()), encode_int(int(port))]
    return encode_array([*parts, encode_bulk(state), encode_int(status["applied"])])


def _role_parts(follower: "dict[str, Any]") -> list[str]:
    """Return [host, port, index] of a follower in STATUS."""
    host, _, port = follower["addr"].rpartition(":")
    return [host, port, str(follower["index"])]


# verb: (method, minimum number of arguments, maximum number)
HANDLERS: "dict[bytes, tuple[Callable[..., bytes], int, int]]" = {
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
KNOWN = ", ".join(verb.decode() for verb in HANDLERS)
