"""From the command line to one frozen value. Touches neither disk nor network.

The table FLAGS is the single source of the flags, their checks and `--help`. Both `--flag value` and
`--flag=value` are understood. Written by hand because argparse costs more than the whole start of a node.
"""

from kvstore.errors import StartError

USAGE = "usage: kvstore --port=PORT --data-dir=DIR --role=leader|follower [--leader=HOST:PORT] [--host=HOST]"


class Settings:
    """What a node was told, never changed afterwards (a dataclass would cost 15 ms at start)."""

    __slots__ = (
        "ack_timeout",
        "data_dir",
        "epoch",
        "fsync",
        "host",
        "leader",
        "name",
        "nodes",
        "peers",
        "port",
        "repair",
        "replication",
        "role",
        "snapshot_after",
    )

    def __init__(self, **values):
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name, value):
        raise AttributeError(f"settings are frozen: {name}")

    @property
    def leads(self):
        """Whether the node starts as leader."""
        return self.role == "leader"


def parse_port(text, flag):
    """Return a port number, 1 to 65535; raises StartError."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise StartError(f"--{flag} must be a port from 1 to 65535, not {text!r}")
    return int(text)


def parse_text(text, flag):
    """Return the text, which must not be empty."""
    if not text or "\0" in text:
        raise StartError(f"--{flag} must not be empty")
    return text


def one_of(*words):
    """Return a check that a text is one of these words."""

    def check(text, flag):
        if text not in words:
            raise StartError(f"--{flag} must be {', '.join(words[:-1])} or {words[-1]}, not {text!r}")
        return text

    return check


def number(least, most, kind=int):
    """Return a check that a text is a number from `least` to `most`."""

    def check(text, flag):
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise StartError(f"--{flag} must be a number from {least} to {most}, not {text!r}")
        return value

    return check


def parse_address(text, flag):
    """Return (host or None, port) from `HOST:PORT` or `PORT`; raises StartError."""
    host, colon, port = text.rpartition(":")
    if colon and not host:
        raise StartError(f"--{flag} must be HOST:PORT or PORT, not {text!r}")
    return host or None, parse_port(port, flag)


def parse_name(text, flag):
    """Return a name that cannot be taken for an address or break a list of peers; raises StartError."""
    if not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
        raise StartError(f"--{flag} must be letters, digits, - and _, not {text!r}")
    return text


def parse_peers(text, flag):
    """Return {name: (host or None, port)} from `NAME=HOST:PORT,NAME=PORT,...`, nothing from ""; raises StartError."""
    peers = {}
    for peer in text.split(",") if text else ():
        name, equals, address = peer.partition("=")
        if not equals:
            raise StartError(f"--{flag} must be NAME=HOST:PORT,NAME=HOST:PORT,..., and {peer!r} is not")
        if name in peers:
            raise StartError(f"--{flag} names {name!r} twice")
        peers[parse_name(name, flag)] = parse_address(address, flag)
    return peers


REQUIRED = object()

# flag: (check, default, what --help says)
FLAGS = {
    "port": (parse_port, REQUIRED, "PORT: where clients connect, 1 to 65535"),
    "data-dir": (parse_text, REQUIRED, "DIR: where this node keeps its data; made if missing, one node each"),
    "role": (
        one_of("leader", "follower"),
        REQUIRED,
        "leader accepts writes; follower serves reads and refuses writes",
    ),
    "leader": (parse_address, None, "HOST:PORT or PORT of the leader (followers only); named when refusing"),
    "name": (parse_name, None, "NAME: what other nodes call this one (default: its address)"),
    "peers": (
        parse_peers,
        {},
        "NAME=HOST:PORT,...: where this node finds the others, by their names; whoever leads, it goes there",
    ),
    "host": (parse_text, "127.0.0.1", "HOST: the address to listen on (default 127.0.0.1)"),
    "fsync": (
        one_of("always", "interval", "never"),
        "interval",
        "always: OK means it is on disk; interval (default): within a second; never: when the system likes",
    ),
    "replication": (
        one_of("none", "async", "majority", "all"),
        None,
        "none (default): followers copy nothing; else OK means: leader, a majority, or all nodes have it",
    ),
    "nodes": (number(1, 15), 3, "how many nodes there are, for majority and all (default 3)"),
    "ack-timeout": (
        number(0.001, 3600, float),
        1.0,
        "seconds until a write without enough copies is in doubt",
    ),
    "epoch": (
        number(1, 2**31),
        None,
        "lead a new epoch: the first from this number on that is the node's own",
    ),
    "snapshot-after": (
        number(1, 1 << 40),
        16 << 20,
        "bytes of log after which a snapshot takes its place (default 16 MiB)",
    ),
    "repair": (None, False, "cut a damaged log where the damage begins, saying what is lost"),
}


def help_text():
    """Return what `--help` prints: every flag, then how to try it."""
    rows = "\n".join(f"  --{flag:<12} {says}" for flag, (_, _, says) in FLAGS.items())
    return f"""{USAGE}

A key-value store with two roles. The leader accepts writes, a follower refuses them and says who leads.

{rows}

Both --flag value and --flag=value work. Try it:
  kvstore --port 9001 --data-dir ./node1 --role=leader
  kvstore --port 9002 --data-dir ./node2 --role=follower --leader=9001
  kv_client --port 9001 put city Paris      ->  OK
  kv_client --port 9002 put city Rome       ->  ERR read-only, leader is on port 9001
Or speak to it by hand, one request a line: PUT key value, GET key, DELETE key, PING, STATUS.
"""


def split_flags(argv):
    """Return {flag: text} from the arguments; raises StartError for what is unknown, doubled or without a value."""
    found, rest = {}, list(argv)
    while rest:
        word = rest.pop(0)
        flag, equals, text = word[2:].partition("=")
        if not word.startswith("--") or flag not in FLAGS:
            raise StartError(f"unknown argument {word!r}; the flags are --{', --'.join(FLAGS)} (see --help)")
        if flag in found:
            raise StartError(f"--{flag} is given twice")
        if FLAGS[flag][0] is None:
            if equals:
                raise StartError(f"--{flag} takes no value")
            text = flag
        elif not equals:
            if not rest or rest[0].startswith("--"):
                raise StartError(f"--{flag} needs a value")
            text = rest.pop(0)
        found[flag] = text
    return found


def parse(argv):
    """Return the Settings of a command line; raises StartError with one line that says what is wrong."""
    found = split_flags(argv)
    values = {}
    for flag, (check, default, _) in FLAGS.items():
        if flag in found:
            values[flag.replace("-", "_")] = check is None or check(found[flag], flag)
        elif default is REQUIRED:
            raise StartError(f"--{flag} is missing; {USAGE}")
        else:
            values[flag.replace("-", "_")] = default
    return Settings(**agree(values))


def agree(values):
    """Return the values, checked against each other: who leads, and who may be told of whom."""
    if values["epoch"] and values["role"] != "leader":
        raise StartError("--epoch is for leaders: a follower learns its epoch from its leader")
    if values["peers"] and values["name"] is None:
        raise StartError("--peers needs --name: the others have to call this node by a name, too")
    if values["name"] in values["peers"]:
        raise StartError(f"--peers names this node itself, {values['name']}; name the others")
    values["peers"] = {name: (host or values["host"], port) for name, (host, port) in values["peers"].items()}
    if values["leader"]:
        host, port = values["leader"]
        values["leader"] = (host or values["host"], port)
        if values["role"] == "leader":
            raise StartError("--leader is for followers: a leader has no leader")
        if values["leader"] == (values["host"], values["port"]):
            raise StartError(f"--leader names this node itself, port {port}; name the leader's address")
    return values
