#!/usr/bin/env python3
"""A small store in many styles, as strangers would write it. The file `style` beside it says which.

`style` holds JSON: {"answers": one of ANSWERS, "start": one of STARTS, "refusal": a text with
{leader}, "handler": whether SIGTERM is handled, "keeps": nothing, stop or kill}. As a module,
`Store` answers requests without any socket.
"""

import json
import os
import signal
import socketserver
import struct
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

# Answers: to a put, to a get that finds {v}, to one that does not, to a delete, and to a delete of
# a missing key. {k} is the key, {n} counts the writes,
# {v.json} is the value as JSON.
ANSWERS = {
    "bare_not_found": ("OK", "{v}", "NOT_FOUND", "OK", "NOT_FOUND"),
    "bare_nil": ("OK", "{v}", "(nil)", "OK", "(nil)"),
    "bare_empty_line": ("OK", "{v}", "", "OK", "OK"),
    "bare_error_word": ("stored", "{v}", "ERROR: no such key", "removed", "ERROR: no such key"),
    "value_word": ("OK", "VALUE {v}", "NOT_FOUND", "DELETED", "NOT_FOUND"),
    "quoted": ("OK", '"{v}"', "null", "OK", "null"),
    "ok_and_value": ("+OK", "+OK {v}", "-ERR missing", "+OK", "-ERR missing"),
    "key_echo": ("{k} stored", "{k}={v}", "{k} is unknown", "{k} removed", "{k} is unknown"),
    "numbered": ("OK {n}", "{v} (revision {n})", "none at revision {n}", "OK {n}", "none at {n}"),
    "value_echo": ("SET {k} = {v}", "{v}", "nothing", "deleted 1", "deleted 0"),
    "json": (
        '{"status": "ok"}',
        '{"status": "ok", "value": "{v}"}',
        '{"status": "error", "error": "no such key"}',
        '{"status": "ok", "removed": true}',
        '{"status": "ok", "removed": false}',
    ),
    "json_escaped": (
        '{"ok": true, "was": {v.json}}',
        '{"ok": true, "value": {v.json}}',
        '{"ok": false, "error": "no such key"}',
        '{"ok": true}',
        '{"ok": false}',
    ),
    "json_alone": ("OK", "{v.json}", "null", "OK", "null"),
    "code": ("200", "200 {v}", "404", "200", "404"),
}
WORDS = {"PUT": "put", "SET": "put", "GET": "get", "DELETE": "delete", "DEL": "delete"}


class Store:
    """The data, and the answers in one style. `role` and `leader` are as they were given."""

    def __init__(self, style, role="leader", leader=""):
        self.answers = ANSWERS[style.get("answers", "value_word")]
        self.refusal = style.get("refusal", "ERR read-only, leader is on port {leader}")
        self.words = {
            word: verb
            for word, verb in WORDS.items()
            if word.lower() not in style.get("without", "").split()
        }
        self.follower = role == "follower"
        self.leader, self.data, self.count = leader, {}, 0
        self.lock = threading.Lock()

    def reply(self, line):
        """The answer to one line."""
        parts = line.split(" ", 2)
        verb = self.words.get(parts[0].upper())
        if verb is None or len(parts) < (3 if verb == "put" else 2):
            return "ERR unknown command"
        with self.lock:
            return self.act(verb, parts[1], parts[2] if verb == "put" else "")

    def act(self, verb, key, value):
        if verb != "get" and self.follower and self.refusal:
            return self.refusal.replace("{leader}", self.leader)
        put, found, missing, removed, not_removed = self.answers
        old = self.data.get(key)
        if verb == "put":
            self.data[key] = old = value
            self.count += 1
            text = put
        elif verb == "get":
            text = missing if old is None else found
        else:
            text = not_removed if self.data.pop(key, None) is None else removed
            self.count += old is not None
        text = text.replace("{k}", key).replace("{v}", old or "")
        text = text.replace("{v.json}", json.dumps(old or ""))
        return text.replace("{n}", str(self.count))


# --- the command line ---------------------------------------------------------------------------


def options_of(arguments, start):
    """Port, folder, role and leader out of a command line in one style; exits with 2 otherwise."""
    if start == "positional":
        port, folder, role, *leader = arguments
        return int(port), folder, role, "".join(leader)
    if start == "environment":
        get = os.environ.get
        return int(get("PORT", "0")), get("DATA_DIR", "."), get("ROLE", ""), get("LEADER", "")
    if start == "url":
        get = os.environ.get
        leader = get("LEADER_URL", "")
        if leader and not leader.startswith("http://"):
            sys.exit(f"LEADER_URL: no URL: {leader}")
        role = "follower" if leader else "leader"
        return int(get("PORT", "0")), get("DATA_DIR", "."), role, leader
    if start == "subcommand":
        if not arguments or arguments[0] not in ("dump", "serve"):
            sys.exit("argument command: invalid choice (choose from 'dump', 'serve')")
        if "--help" in arguments:
            sys.exit("usage: serve --listen HOST:PORT --store FOLDER [--replica-of HOST:PORT]")
        arguments = arguments[1:]
    known = STARTS[start]
    values = {}
    rest = list(arguments)
    while rest:
        flag, equals, value = rest.pop(0).partition("=")
        kind, form = known.get(flag, ("", ""))
        if form == "flag" and not equals:
            values[kind] = flag.lstrip("-")
        elif form == "equals" and equals:
            values[kind] = value
        elif form == "separate" and not equals and rest:
            values[kind] = rest.pop(0)
        else:
            sys.exit(f"unknown option {flag}{equals}")
    role = values.get("role") or ("follower" if values.get("leader") else "leader")
    if role not in ROLES:
        sys.exit(f"invalid role {role}")
    port = values["port"].rpartition(":")[2]
    return int(port), values.get("data", "."), ROLES[role], values.get("leader", "")


ROLES = {"leader": "leader", "follower": "follower"}
STARTS = {
    "equals": {
        "--port": ("port", "equals"),
        "--data-dir": ("data", "equals"),
        "--role": ("role", "equals"),
        "--leader": ("leader", "equals"),
    },
    "lesson": {
        "--port": ("port", "separate"),
        "--data-dir": ("data", "separate"),
        "--role": ("role", "equals"),
        "--leader": ("leader", "separate"),
    },
    "short": {
        "-p": ("port", "separate"),
        "-d": ("data", "separate"),
        "--role": ("role", "separate"),
        "--leader": ("leader", "separate"),
    },
    "replicaof": {
        "--port": ("port", "separate"),
        "--dir": ("data", "separate"),
        "--replicaof": ("leader", "separate"),
    },
    "subcommand": {
        "--listen": ("port", "separate"),
        "--store": ("data", "separate"),
        "--replica-of": ("leader", "separate"),
    },
    "flag": {
        "--port": ("port", "equals"),
        "--follower": ("role", "flag"),
        "--leader-addr": ("leader", "equals"),
    },
}


# --- the protocols ------------------------------------------------------------------------------


class Lines(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            reply = self.server.store.reply(line.decode().rstrip("\r\n"))
            self.wfile.write(reply.encode() + b"\n")


class Frames(socketserver.BaseRequestHandler):
    def handle(self):
        while size := self.request.recv(4, 0x100):
            if len(size) < 4 or struct.unpack(">I", size)[0] > 1 << 20:
                return
            line = self.request.recv(struct.unpack(">I", size)[0], 0x100)
            reply = self.server.store.reply(line.decode()).encode()
            self.request.sendall(struct.pack(">I", len(reply)) + reply)


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self):
        store, key = self.server.store, self.path.removeprefix("/kv/")
        body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
        if self.command != "GET" and store.follower:
            return self.send(403, {"error": "read-only", "leader": store.leader})
        if self.command == "PUT":
            try:
                store.data[key] = json.loads(body)["value"]
            except (ValueError, KeyError, TypeError):
                return self.send(400, {"error": "no JSON object with a value"})
            return self.send(200, {"ok": True})
        if key not in store.data:
            return self.send(404, {"error": "no such key"})
        if self.command == "DELETE":
            del store.data[key]
            return self.send(204, None)
        return self.send(200, {"key": key, "value": store.data[key]})

    do_GET = do_PUT = do_DELETE = answer

    def send(self, status, data):
        body = b"" if data is None else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Resp(socketserver.StreamRequestHandler):
    def handle(self):
        while line := self.rfile.readline():
            if not line.startswith(b"*"):
                self.wfile.write(b"-ERR Protocol error\r\n")
                return
            words = []
            for _ in range(int(line[1:])):
                size = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(size + 2)[:-2].decode())
            self.wfile.write(self.reply(words))

    def reply(self, words):
        store, verb = self.server.store, words[0].upper()
        if verb in ("SET", "DEL") and store.follower:
            return b"-READONLY You can't write against a read only replica.\r\n"
        if verb == "SET" and len(words) == 3:
            store.data[words[1]] = words[2]
            return b"+OK\r\n"
        if verb == "GET" and len(words) == 2:
            value = store.data.get(words[1])
            return b"$-1\r\n" if value is None else f"${len(value)}\r\n{value}\r\n".encode()
        if verb == "DEL" and len(words) == 2:
            return b":%d\r\n" % (store.data.pop(words[1], None) is not None)
        return b"-ERR unknown command\r\n"


HANDLERS = {"lines": Lines, "frames": Frames, "http": Http, "resp": Resp}


def main():
    style = json.loads(Path(__file__).with_name("style").read_text())
    if style.get("role_words"):
        leader, follower = style["role_words"]
        ROLES.clear()
        ROLES.update({leader: "leader", follower: "follower"})
    port, folder, role, leader = options_of(sys.argv[1:], style.get("start", "equals"))
    store = Store(style, ROLES.get(role, role or "leader"), leader)
    if style.get("handler", True):
        signal.signal(signal.SIGTERM, lambda *_: os._exit(style.get("exit", 0)))
    path = Path(folder, "data.json")
    keeps = style.get("keeps", "nothing") != "nothing"
    if keeps and path.exists():
        store.data = json.loads(path.read_text())
    if keeps:
        act = store.act

        def act_and_write(*words):
            reply = act(*words)
            path.write_text(json.dumps(store.data))
            return reply

        store.act = act_and_write
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    socketserver.ThreadingTCPServer.daemon_threads = True
    handler = HANDLERS[style.get("protocol", "lines")]
    server = socketserver.ThreadingTCPServer(("127.0.0.1", port), handler)
    server.store = store
    print(f"{(store.follower and 'FOLLOWER') or 'LEADER'} listens on port {port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
