"""Small programs in start forms that are drawn: options, words, variables, clients, exit statuses.

Each program's text has its own options only, as a stranger's has. A style is a value; the same for
one seed.
"""

from __future__ import annotations

import random
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

PORT_OPTIONS = ("--port", "-p", "--listen", "--client-port", "-port", "--listen-port", "--bind")
FOLDER_OPTIONS = ("--data-dir", "--dir", "-d", "--data", "--datadir", "--data_dir", "--storage")
ROLE_OPTIONS = ("--role", "--mode", "-r", "--node-role", "-role")
LEADER_OPTIONS = (
    *("--leader", "--leader-addr", "--leader-port", "--primary", "--master", "--replicaof"),
    *("--follow", "-l", "--leader-address", "--join", "--replica-of"),
)
VARIABLES = {
    "port": ("PORT", "KV_PORT", "STORE_PORT", "NODE_PORT"),
    "folder": ("DATA_DIR", "KV_DATA_DIR", "STORE_DIR", "DATA_PATH"),
    "role": ("ROLE", "KV_ROLE", "NODE_ROLE"),
    "leader": ("LEADER", "LEADER_ADDR", "KV_LEADER", "PRIMARY_ADDR"),
}
ROLE_WORDS = (
    *(("leader", "follower"), ("leader", "follower"), ("primary", "replica")),
    *(("primary", "secondary"), ("primary", "backup"), ("master", "slave")),
    *(("LEADER", "FOLLOWER"), ("Leader", "Follower")),
)
# How options take their values.
FORMS = ("separate", "equals", "either")
# Positional arguments, by kind.
ORDERS = (
    ("port", "folder", "role"),
    ("port", "role", "folder"),
    ("role", "port", "folder"),
    ("port", "role"),
    ("role", "port"),
)
CLIENT_PLACES = (
    *(("--port", "{port}"), ("-p", "{port}"), ("--port={port}",), ("{port}",)),
    *(("{host}", "{port}"), ("{addr}",), ("--addr", "{addr}"), ("--host", "{host}", "--port")),
)
REFUSALS = (
    "ERR read-only: this node is a {word}",
    "ERR read-only, leader is {leader}",
    "NOT_LEADER {leader}",
    "redirect {leader}",
)


class StartStyle(Struct, frozen=True):
    """How one store is started and asked.

    `given` says per kind (port, folder, role, leader) the option or variable; "" is positional or
    not at all. `order` are the positional kinds. `role_by` is "word", "flag" (`--follower`) or
    "leader" (a follower is what has a leader). `ending` is the status after SIGTERM; None is no
    handler. `client` has the client's words for its node, and None where the store is asked over
    its socket.
    """

    by: str
    given: tuple[tuple[str, str], ...]
    form: str
    order: tuple[str, ...] = ()
    role_by: str = "word"
    words: tuple[str, str] = ("leader", "follower")
    leader_is: str = "addr"
    strict: bool = True
    usage: bool = True
    needs_role: bool = False
    ending: int | None = None
    flush: bool = True
    keeps: bool = True
    protocol: str = "lines"
    refusal: str = REFUSALS[0]
    client: tuple[str, ...] | None = None
    client_last: bool = False
    statuses: tuple[int, int] = (0, 0)
    quiet: bool = False
    separate_programs: bool = False

    @property
    def leads_positional(self) -> bool:
        """Whether a leader is named by a positional argument."""
        return dict(self.given).get("leader") == "positional"

    @property
    def names_leader(self) -> bool:
        """Whether a refusal can name the leader: the follower was given it."""
        return "{leader}" in self.refusal and bool(dict(self.given).get("leader"))


def draw_start(rng: random.Random) -> StartStyle:
    """A style that a person may have written."""
    by = rng.choice(("options", "options", "options", "positional", "environment", "mixed"))
    given = {
        "port": rng.choice(PORT_OPTIONS),
        "folder": rng.choice((*FOLDER_OPTIONS, "")),
        "role": rng.choice(ROLE_OPTIONS),
        "leader": rng.choice((*LEADER_OPTIONS, "")),
    }
    order: tuple[str, ...] = ()
    role_by = "word"
    if by == "environment":
        given = {kind: rng.choice(names) for kind, names in VARIABLES.items()}
    elif by == "positional":
        order = rng.choice(ORDERS)
        given = {"port": "", "folder": "", "role": "", "leader": rng.choice(("", "positional"))}
    elif by == "mixed":
        order = ("port",)
        given["port"] = ""
    if by in ("options", "mixed"):
        role_by = rng.choice(("word", "word", "word", "flag", "leader"))
        if role_by == "leader":
            given["leader"] = given["leader"] or "--leader"
        if role_by != "word":
            given["role"] = ""
    style = StartStyle(
        by=by,
        given=tuple(given.items()),
        form=rng.choice(FORMS),
        order=order,
        role_by=role_by,
        words=rng.choice(ROLE_WORDS) if role_by == "word" else ("leader", "follower"),
        leader_is=rng.choice(("addr", "port", "any")),
        strict=rng.random() < 0.8,
        usage=rng.random() < 0.6,
        needs_role=role_by == "word" and rng.random() < 0.4,
        ending=rng.choice((None, None, 0, 143, 130)),
        flush=rng.random() < 0.8,
        keeps=bool(given["folder"] or "folder" in order) and rng.random() < 0.7,
        protocol=rng.choice(("lines", "lines", "json")),
        refusal=rng.choice(REFUSALS),
    )
    if not given["leader"]:
        style = replace(style, refusal=REFUSALS[0])
    if rng.random() < 0.35:
        style = replace(
            style,
            protocol="lines",
            client=rng.choice(CLIENT_PLACES),
            client_last=rng.random() < 0.3,
            statuses=rng.choice(((0, 0), (1, 1), (1, 2), (2, 3), (4, 1))),
            quiet=rng.random() < 0.4,
            separate_programs=rng.random() < 0.3,
        )
    return style


def write_store(style: StartStyle, folder: Path) -> tuple[str, str]:
    """Write the programs; the commands of the store and of its client, which may be empty."""
    _write(folder / "store", _store_text(style))
    if style.client is None:
        return "./store", ""
    if style.separate_programs:
        for verb in ("put", "get", "del"):
            _write(folder / f"kv-{verb}", _client_text(style, verb))
        return "./store", "./kv-put"
    _write(folder / "client", _client_text(style))
    return "./store", "./client"


def _write(path: Path, text: str) -> None:
    path.write_text("#!/usr/bin/python3 -SE\n" + text, encoding="utf-8")
    path.chmod(0o755)


def _store_text(style: StartStyle) -> str:
    leader, follower = style.words
    given = dict(style.given)
    if style.role_by == "leader":
        role_lines = [f"role = {follower!r} if values.get('leader') else {leader!r}"]
    else:
        default = "''" if style.needs_role else repr(leader)
        role_lines = [f"role = values.get('role') or {default}"]
    role_lines += [
        f"if role not in ({leader!r}, {follower!r}):",
        f"    sys.exit('invalid role ' + repr(role){_usage(style)})",
        f"follower = role == {follower!r}",
    ]
    checks = []
    if style.leader_is != "any":
        what = "host:port" if style.leader_is == "addr" else "a port"
        pattern = r".+:\d+" if style.leader_is == "addr" else r"\d+"
        checks = [
            f"if values.get('leader') and not re.fullmatch({pattern!r}, values['leader']):",
            f"    sys.exit('invalid leader: {what} is expected')",
        ]
    handler = (
        []
        if style.ending is None
        else [f"signal.signal(signal.SIGTERM, lambda *_: os._exit({style.ending}))"]
    )
    data = ["path = None"]
    if style.keeps:
        data = [
            "path = os.path.join(values.get('folder') or '.', 'data.json')",
            "os.makedirs(os.path.dirname(path), exist_ok=True)",
            "if os.path.exists(path):",
            "    data.update(json.load(open(path)))",
        ]
    return "\n".join(
        [
            "import json, os, re, signal, socket, sys, threading",
            "values, data = {}, {}",
            *_parse_lines(style),
            "if not values.get('port'):",
            f"    sys.exit('which port?'{_usage(style)})",
            *role_lines,
            *checks,
            *handler,
            *data,
            f"REFUSAL = {style.refusal.replace('{word}', follower)!r}",
            f"JSON = {style.protocol == 'json'}",
            f"FLUSH, ADDRESS = {style.flush}, {given['port'] in ('--listen', '--bind')}",
            SERVE,
        ]
    )


def _usage(style: StartStyle) -> str:
    """What it prints of its options when it ends: an expression behind another text."""
    shown = [name or f"<{kind}>" for kind, name in style.given if name or kind in style.order]
    return f" + '\\nusage: store {' '.join(shown)}'" if style.usage else ""


def _parse_lines(style: StartStyle) -> list[str]:
    given = dict(style.given)
    if style.by == "environment":
        return [f"values[{kind!r}] = os.environ.get({name!r})" for kind, name in given.items()]
    if style.by == "positional":
        kinds = [*style.order, *(["leader"] if given["leader"] else [])]
        return [f"for kind, value in zip({kinds!r}, sys.argv[1:]):", "    values[kind] = value"]
    names = {name: kind for kind, name in given.items() if name}
    flags = {"--leader-node": "leader", "--follower": "follower"} if style.role_by == "flag" else {}
    refuse = f"sys.exit('unknown option ' + word{_usage(style)})" if style.strict else "continue"
    return [
        f"NAMES, FLAGS = {names!r}, {flags!r}",
        f"positional, rest = {list(style.order)!r}, sys.argv[1:]",
        "while rest:",
        "    word = rest.pop(0)",
        "    name, equals, value = word.partition('=')",
        "    if word in FLAGS:",
        "        values['role'] = FLAGS[word]",
        f"    elif name in NAMES and equals and {style.form != 'separate'} and len(name) > 2:",
        "        values[NAMES[name]] = value",
        f"    elif word in NAMES and rest and ({style.form != 'equals'} or len(word) == 2):",
        "        values[NAMES[word]] = rest.pop(0)",
        "    elif positional and not word.startswith('-'):",
        "        values[positional.pop(0)] = word",
        "    else:",
        f"        {refuse}",
    ]


SERVE = r'''
lock = threading.Lock()


def act(verb, key, value):
    """(kind, text)"""
    with lock:
        if verb in ("put", "delete") and follower:
            return "error", REFUSAL.replace("{leader}", values.get("leader") or "elsewhere")
        if verb == "get":
            return ("value", data[key]) if key in data else ("missing", "NOT_FOUND")
        if verb == "put":
            data[key] = value
        elif data.pop(key, None) is None:
            return "missing", "NOT_FOUND"
        if path:
            with open(path + ".new", "w") as file:
                json.dump(data, file)
            os.replace(path + ".new", path)
        return "ok", "OK"


def answer(line):
    if JSON:
        try:
            request = json.loads(line)
            verb, key, value = request["op"], request["key"], request.get("value", "")
        except (ValueError, KeyError, TypeError):
            return json.dumps({"ok": False, "error": "bad request"})
        if verb not in ("put", "get", "delete"):
            return json.dumps({"ok": False, "error": "unknown op"})
        kind, text = act(verb, key, value)
        return json.dumps({
            "ok": {"ok": True},
            "value": {"ok": True, "value": text},
            "missing": {"ok": False, "error": "not found"},
            "error": {"ok": False, "error": text},
        }[kind])
    verb, _, rest = line.partition(" ")
    key, _, value = rest.partition(" ")
    if verb.upper() not in ("PUT", "GET", "DELETE") or not key:
        return "ERR unknown command"
    return act(verb.lower(), key, value)[1]


def serve(connection):
    with connection, connection.makefile("rb") as lines:
        try:
            for line in lines:
                connection.sendall(answer(line.decode().rstrip("\r\n")).encode() + b"\n")
        except OSError:
            pass


listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
port = values["port"]
listener.bind(("127.0.0.1", int(port.rpartition(":")[2] if ADDRESS else port)))
listener.listen(64)
print(f"{role} is listening on port {values['port']}", flush=FLUSH)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
'''


def _client_text(style: StartStyle, verb: str = "") -> str:
    """A client of its own program per verb, or of one program with the verb in its command."""
    place = [*(style.client or ())]
    if place[-1:] == ["--port"]:
        place.append("{port}")
    return "\n".join(
        [
            "import socket, sys",
            f"PLACE, LAST, VERB = {place!r}, {style.client_last}, {verb!r}",
            f"MISSING, REFUSED = {style.statuses!r}",
            f"QUIET = {style.quiet}",
            CLIENT,
        ]
    )


CLIENT = r"""
words = sys.argv[1:]
place = words[len(words) - len(PLACE):] if LAST else words[: len(PLACE)]
words = words[: len(words) - len(PLACE)] if LAST else words[len(PLACE):]
if len(place) != len(PLACE):
    sys.exit("usage: client " + " ".join(PLACE) + " put|get|del KEY [VALUE]")
host, port = "127.0.0.1", ""
for known, word in zip(PLACE, place):
    head, mark, _ = known.partition("{")
    if not word.startswith(head) or not mark and word != known:
        sys.exit("unknown option " + word)
    if mark and "host" not in known:
        port = word[len(head):].rpartition(":")[2]
if not port.isdigit():
    sys.exit("not a port: " + port)
verb = VERB or (words.pop(0) if words else "")
sizes = {"put": 2, "get": 1, "del": 1, "delete": 1}
if sizes.get(verb) != len(words):
    sys.exit("unknown command " + verb)
try:
    connection = socket.create_connection((host, int(port)), 5)
except OSError as error:
    sys.exit(f"cannot connect: {error}")
connection.sendall(" ".join([{"del": "DELETE"}.get(verb, verb.upper()), *words]).encode() + b"\n")
reply = connection.makefile("rb").readline().decode().rstrip("\n")
if reply == "NOT_FOUND":
    print("" if QUIET and MISSING else reply, file=sys.stderr if MISSING else sys.stdout)
    sys.exit(MISSING)
if verb != "get" and reply != "OK" or "read-only" in reply:
    print(reply, file=sys.stderr if REFUSED else sys.stdout)
    sys.exit(REFUSED)
if not QUIET or verb == "get":
    print(reply)
"""
