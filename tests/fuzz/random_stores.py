"""Small stores in styles that are drawn: protocol, words, answers, refusals, and what they mean.

A style is a value; the same for one seed. Its store runs in threads of the test.
"""

from __future__ import annotations

import json
import random
import socketserver
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

PUT_WORDS = ("put", "set", "write", "insert", "store")
GET_WORDS = ("get", "read", "fetch")
DELETE_WORDS = ("delete", "del", "remove", "rm", "erase", "")
CASES = ("upper", "lower", "any")
# {k}: key, {v}: value, {n}: number of writes so far.
STORED = (
    *("OK", "ok", "+OK", "stored", "STORED", "{k} stored", "SET {k} = {v}", "200", "OK {n}", "1"),
    *("OK: 1 key written", '{"status": "ok"}', '{"ok": true, "version": {n}}', "Success", "true"),
    *("ACK", "200 OK", "done.", "[OK]", "OK (0.01 ms)", "OK inserted"),
)
FOUND = (
    *("{v}", "{v}", '"{v}"', "'{v}'", "VALUE {v}", "OK {v}", "+{v}", "{k}={v}", "{k}: {v}"),
    *("200 {v}", "{v} (revision {n})", "value={v} version={n}", '{"value": "{v}"}', "> {v}"),
    *('{"key": "{k}", "value": "{v}", "found": true}', '{"status": "ok", "value": "{v}"}'),
    *("[{v}]", "FOUND {v}", "value: {v}", "OK '{v}'", "{v};"),
)
MISSING = (
    *("(nil)", "NOT_FOUND", "", "null", "nil", "None", "ERROR: no such key", "-ERR not found"),
    *("ERR key {k} not found", "404", '{"error": "not found"}', "none", "KEY_NOT_FOUND", "-1"),
    *("not found: {k}", "ERROR", "$-1", "404 Not Found", "<nil>", "?", '{"value": null}'),
    *("undefined", "NIL", "key not found.", "Error: key does not exist", '""'),
)
# Of a key that was there, and of one that was not.
DELETED = (
    ("OK", "OK"),
    ("OK", "NOT_FOUND"),
    ("deleted 1", "deleted 0"),
    ("1", "0"),
    ("{k} removed", "{k} is unknown"),
    ("true", "false"),
    ("OK", "{missing}"),
    ("DELETED", "{missing}"),
    ('{"status": "ok"}', '{"status": "error", "error": "no such key"}'),
    ("OK {n}", "NONE {n}"),
    ("OK {v}", "(nil)"),
)
UNKNOWN = ("ERR unknown command", "ERROR", "?", "unknown command", "400 bad request", "-ERR what")
# With {port}, {addr} or {name} of the leader. True: its words say that the node takes no writes.
REFUSALS = (
    ("ERR read-only, leader is on port {port}", True),
    ("ERR read-only: this node is a follower", True),
    ("REDIRECT {addr}", True),
    ("MOVED {addr}", True),
    ("-READONLY You can't write against a read only replica.", True),
    ("NOT_LEADER", True),
    ("not the leader; try {addr}", True),
    ('{"error": "read-only", "leader": "{addr}"}', True),
    ("403 I am a follower, ask {addr}", True),
    ("redirect to leader at {addr}", True),
    ("ERR replica: writes are not allowed here", True),
    ("ERROR: writes go to {port}", True),
    ("ERR internal error", False),
    ("denied", False),
    ("500", False),
)
READINGS = ("serves", "serves", "replicates", "refuses")
HTTP_REFUSALS = ((403, True), (409, True), (307, True), (503, False), (500, False), (405, False))
HTTP_FORMS = ("json_put", "json_post", "raw_put", "raw_post", "query", "verbs", "pair")
PREFIXES = ("/kv/", "/keys/", "/store/", "/api/kv/", "/v1/kv/", "/data/", "/")


@dataclass(frozen=True)
class Style:
    """How one store behaves. `refusal` has a text and whether it says that it is a follower."""

    protocol: str
    put: str
    get: str
    delete: str
    case: str
    stored: str
    found: str
    missing: str
    deleted: tuple[str, str]
    unknown: str
    refusal: tuple[str, bool]
    reading: str
    line_end: str = "\n"
    size: int = 4
    byte_order: str = "big"
    http: dict[str, Any] = field(default_factory=dict)

    @property
    def keeps_missing_apart(self) -> bool:
        """Whether a delete of a missing key is answered differently."""
        return self.deleted[0] != self.deleted[1].replace("{missing}", self.missing)


def draw_style(rng: random.Random) -> Style:
    """A style in which every answer has one meaning."""
    while True:
        style = _draw(rng)
        said = style.missing, style.unknown, style.refusal[0]
        stored = {style.stored, style.deleted[0]}
        reply = style.deleted[1].replace("{missing}", style.missing)
        heads = {style.found.partition("{v}")[0].strip()}
        clear = not stored & {*said} and reply not in {style.unknown, style.refusal[0]}
        if clear and len(set(said)) == len(said) and style.missing.strip() not in heads - {""}:
            return style


def _draw(rng: random.Random) -> Style:
    statuses = {
        "form": rng.choice(HTTP_FORMS),
        "prefix": rng.choice(PREFIXES),
        "stored": rng.choice([200, 200, 201, 204]),
        "missing": rng.choice([404, 404, 200]),
        "deleted": rng.choice([200, 204]),
        "not_deleted": rng.choice([404, 200]),
        "refused": rng.choice(HTTP_REFUSALS),
        "found": rng.choice(["json", "raw", "nested"]),
        "body": rng.choice(['{"error": "read-only", "leader": "{addr}"}', "ask {addr}", ""]),
    }
    return Style(
        protocol=rng.choice(["lines", "lines", "lines", "frames", "resp", "http"]),
        put=rng.choice(PUT_WORDS),
        get=rng.choice(GET_WORDS),
        delete=rng.choice(DELETE_WORDS),
        case=rng.choice(CASES),
        stored=rng.choice(STORED),
        found=rng.choice(FOUND),
        missing=rng.choice(MISSING),
        deleted=rng.choice(DELETED),
        unknown=rng.choice(UNKNOWN),
        refusal=rng.choice(REFUSALS),
        reading=rng.choice(READINGS),
        line_end=rng.choice(["\n", "\n", "\r\n"]),
        size=rng.choice([1, 2, 4, 4, 8]),
        byte_order=rng.choice(["big", "big", "little"]),
        http=statuses,
    )


class Store:
    """The data of one node and its answers. `leader` is None for the leader itself."""

    def __init__(self, style: Style, leader: int | None = None) -> None:
        self.style, self.leader = style, leader
        self.data: dict[str, str] = {}
        self.count = 0
        self.followers: list[Store] = []
        self.lock = threading.Lock()

    def named(self, text: str) -> str:
        return text.replace("{port}", str(self.leader)).replace(
            "{addr}", f"127.0.0.1:{self.leader}"
        )

    def change(self, key: str, value: str | None) -> bool:
        """Store a value, or remove it; whether the key was there."""
        was_there = key in self.data
        self.count += value is not None or was_there
        if value is None:
            self.data.pop(key, None)
        else:
            self.data[key] = value
        for follower in self.followers:
            follower.change(key, value)
        return was_there

    def answer(self, text: str, key: str, value: str = "") -> str:
        for name, known in (("{missing}", self.style.missing), ("{k}", key), ("{v}", value)):
            text = text.replace(name, known)
        return text.replace("{n}", str(self.count))

    def verb_of(self, word: str) -> str:
        """put, get or delete; empty for a word that the store does not know."""
        style = self.style
        known = {style.put: "put", style.get: "get", style.delete: "delete"}
        shaped = {"upper": str.upper, "lower": str.lower, "any": str.lower}[style.case]
        return (
            known.get(word.lower(), "")
            if word
            and shaped(word)
            in (
                word,
                word.lower()
                if style.case == "any"
                else word.upper()
                if style.case == "upper"
                else "",
            )
            else ""
        )

    def text(self, line: str) -> str:
        """The answer to one line of text."""
        style = self.style
        word, _, rest = line.partition(" ")
        verb = self.verb_of(word)
        key, _, value = rest.partition(" ")
        if not verb or not key or (verb == "put") is not bool(value):
            return style.unknown
        with self.lock:
            refuses = self.leader is not None and (verb != "get" or style.reading == "refuses")
            if refuses:
                return self.named(style.refusal[0])
            if verb == "get":
                found = self.data.get(key)
                text = style.missing if found is None else style.found
                return self.answer(text, key, found or "")
            if verb == "put":
                self.change(key, value)
                return self.answer(style.stored, key, value)
            old = self.data.get(key, "")
            was_there = self.change(key, None)
            return self.answer(style.deleted[not was_there], key, old)


# --- protocols ----------------------------------------------------------------------------------


class Lines(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        store = self.server.store
        for line in self.rfile:
            reply = store.text(line.decode().rstrip("\r\n")) + store.style.line_end
            self.wfile.write(reply.encode())


class Frames(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        store, style = self.server.store, self.server.store.style
        while len(head := self.rfile.read(style.size)) == style.size:
            size = int.from_bytes(head, style.byte_order)
            if size > 1 << 20:
                return
            reply = store.text(self.rfile.read(size).decode("utf-8", "replace")).encode()
            self.wfile.write(len(reply).to_bytes(style.size, style.byte_order) + reply)


class Resp(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while line := self.rfile.readline():
            if not line.startswith(b"*") or not line[1:].strip().isdigit():
                self.wfile.write(b"-ERR Protocol error\r\n")
                return
            words = []
            for _ in range(int(line[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2].decode())
            self.wfile.write(self.reply(words).encode())

    def reply(self, words: list[str]) -> str:
        store, style, (verb, *rest) = self.server.store, self.server.store.style, words
        known = {"SET": "put", "GET": "get", "DEL": "delete"}.get(verb.upper(), "")
        if not known or len(rest) != 1 + (known == "put"):
            return "-ERR unknown command\r\n"
        with store.lock:
            if store.leader is not None and (known != "get" or style.reading == "refuses"):
                return "-" + store.named(style.refusal[0]).lstrip("-") + "\r\n"
            if known == "get":
                found = store.data.get(rest[0])
                return "$-1\r\n" if found is None else f"${len(found)}\r\n{found}\r\n"
            if known == "put":
                store.change(rest[0], rest[1])
                return "+OK\r\n"
            return f":{int(store.change(rest[0], None))}\r\n"


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def parse(self) -> tuple[str, str, str | None] | None:
        """(verb, key, value), or None for a request that the store does not know."""
        http = self.server.store.style.http
        form, prefix = http["form"], http["prefix"]
        url, body = urlsplit(self.path), self.body()
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        base, method = prefix.rstrip("/"), self.command
        if form == "query":
            verb = {"PUT": "put", "GET": "get", "DELETE": "delete"}.get(method)
            if url.path != (base or "/") or "key" not in query or not verb:
                return None
            return verb, query["key"], query.get("value")
        if form == "verbs":
            verb = url.path.removeprefix(base + "/")
            fits = {"put": "POST", "get": "GET", "delete": "POST"}.get(verb) == method
            return (verb, query["key"], query.get("value")) if fits and "key" in query else None
        if form == "pair" and method == "POST":
            try:
                pair = json.loads(body)
                return ("put", pair["key"], pair["value"]) if url.path == (base or "/") else None
            except (ValueError, KeyError, TypeError):
                return None
        key = unquote(url.path.removeprefix(prefix))
        if not url.path.startswith(prefix) or not key:
            return None
        writing = {"json_put": "PUT", "raw_put": "PUT", "json_post": "POST", "raw_post": "POST"}
        if method == writing.get(form):
            if form.startswith("raw"):
                return "put", key, body
            try:
                return "put", key, json.loads(body)["value"]
            except (ValueError, KeyError, TypeError):
                return None
        verb = {"GET": "get", "DELETE": "delete"}.get(method)
        return (verb, key, None) if verb else None

    def body(self) -> str:
        return self.rfile.read(int(self.headers.get("content-length", 0))).decode()

    def answer(self) -> None:
        store, http = self.server.store, self.server.store.style.http
        parsed = self.parse()
        if parsed is None or (parsed[0] == "put" and parsed[2] is None):
            return self.send(400, '{"error": "bad request"}')
        verb, key, value = parsed
        with store.lock:
            if store.leader is not None and (verb != "get" or store.style.reading == "refuses"):
                status = http["refused"][0]
                where = f"http://127.0.0.1:{store.leader}{self.path}" if status == 307 else ""
                return self.send(status, store.named(http["body"]), where)
            if verb == "get":
                found = store.data.get(key)
                if found is None:
                    body = '{"value": null}' if http["missing"] == 200 else '{"error": "none"}'
                    return self.send(http["missing"], body)
                shown = {
                    "json": json.dumps({"value": found}),
                    "raw": found,
                    "nested": json.dumps({"status": "ok", "data": {"key": key, "value": found}}),
                }
                return self.send(200, shown[http["found"]])
            if verb == "put":
                store.change(key, value)
                return self.send(http["stored"], '{"ok": true}')
            status = http["deleted" if store.change(key, None) else "not_deleted"]
            return self.send(status, f'{{"deleted": {str(status != 404).lower()}}}')

    do_GET = do_PUT = do_POST = do_DELETE = answer

    def send(self, status: int, text: str, location: str = "") -> None:
        body = b"" if status == 204 else text.encode()
        self.send_response(status)
        if location:
            self.send_header("location", location)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


HANDLERS = {"lines": Lines, "frames": Frames, "resp": Resp, "http": Http}


class Server(socketserver.ThreadingTCPServer):
    """One node, in threads. `close` ends it."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, style: Style, leader: int | None = None) -> None:
        self.store = Store(style, leader)
        super().__init__(("127.0.0.1", 0), HANDLERS[style.protocol])
        self.port = self.server_address[1]
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True)
        self.thread.start()

    def handle_error(self, *_: object) -> None:
        """A connection that was cut is nothing to report."""

    def close(self) -> None:
        self.shutdown()
        self.server_close()
        self.thread.join()
