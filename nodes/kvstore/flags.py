"""Parse the command line into one frozen value. Touches neither disk nor network.

The table FLAGS holds every flag, its check and its `--help` text. Both `--flag value` and
`--flag=value` are accepted. Written by hand because `import argparse` takes longer than the whole
start of a node.
"""

from kvstore.errors import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kvstore.interfaces import Address

    Check = Callable[[str, str], object]

USAGE = (
    "usage: kvstore --port=PORT --data-dir=DIR --role=leader|follower "
    "[--leader=HOST:PORT] [--host=HOST]"
)
ELECTION_TIMEOUT_S = 0.5
# what --elect decides by itself
NOT_WITH_ELECT = {
    "role": "the nodes choose their leader",
    "leader": "the nodes choose their leader",
    "term": "each election opens a new term",
    "nodes": "--members says who belongs to the cluster",
}


class Settings:
    """The settings of a node; they never change. A dataclass would add 15 ms to the start."""

    __slots__ = (
        "ack_timeout",
        "data_dir",
        "elect",
        "election_timeout",
        "fsync",
        "host",
        "leader",
        "members",
        "name",
        "nodes",
        "peers",
        "port",
        "repair",
        "replication",
        "role",
        "snapshot_after",
        "term",
    )
    ack_timeout: float
    data_dir: str
    elect: bool
    election_timeout: float
    fsync: str
    host: str
    leader: "Address | None"
    members: "list[str]"
    name: str | None
    nodes: int
    peers: "dict[str, Address]"
    port: int
    repair: bool
    replication: str | None
    role: str
    snapshot_after: int
    term: int | None

    def __init__(self, **values: object) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"settings are frozen: {name}")

    @property
    def is_leader(self) -> bool:
        """Whether the node starts as leader."""
        return self.role == "leader"


def parse_port(text: str, flag: str) -> int:
    """Return a port number, 1 to 65535; raises StartError."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise StartError(f"--{flag} must be a port from 1 to 65535, not {text!r}")
    return int(text)


def parse_text(text: str, flag: str) -> str:
    """Return the text, which must not be empty; raises StartError."""
    if not text or "\0" in text:
        raise StartError(f"--{flag} must not be empty")
    return text


def choice(*words: str) -> "Check":
    """Return a check that a text is one of these words."""

    def check(text: str, flag: str) -> str:
        if text not in words:
            allowed = f"{', '.join(words[:-1])} or {words[-1]}"
            raise StartError(f"--{flag} must be {allowed}, not {text!r}")
        return text

    return check


def number(minimum: float, maximum: float, kind: "type[int] | type[float]" = int) -> "Check":
    """Return a check that a text is a number from `minimum` to `maximum`."""

    def check(text: str, flag: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not minimum <= value <= maximum:
            raise StartError(f"--{flag} must be a number from {minimum} to {maximum}, not {text!r}")
        return value

    return check


def parse_address(text: str, flag: str) -> tuple[str | None, int]:
    """Return (host or None, port) from `HOST:PORT` or `PORT`; raises StartError."""
    host, colon, port = text.rpartition(":")
    if colon and not host:
        raise StartError(f"--{flag} must be HOST:PORT or PORT, not {text!r}")
    return host or None, parse_port(port, flag)


def parse_name(text: str, flag: str) -> str:
    """Return a name; it has no characters of addresses or of lists. Raises StartError."""
    if not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
        raise StartError(f"--{flag} must be letters, digits, - and _, not {text!r}")
    return text


def parse_peers(text: str, flag: str) -> dict[str, tuple[str | None, int]]:
    """Return {name: (host or None, port)} from `NAME=HOST:PORT,NAME=PORT,...`; {} from "".

    Raises StartError.
    """
    peers: dict[str, tuple[str | None, int]] = {}
    for peer in text.split(",") if text else ():
        name, equals, address = peer.partition("=")
        if not equals:
            raise StartError(
                f"--{flag} must be NAME=HOST:PORT,NAME=HOST:PORT,..., and {peer!r} is not"
            )
        if name in peers:
            raise StartError(f"--{flag} names {name!r} twice")
        peers[parse_name(name, flag)] = parse_address(address, flag)
    return peers


def parse_members(text: str, flag: str) -> list[str]:
    """Return the names of `NAME,NAME,...`, sorted; none of an empty text; raises StartError."""
    if not text:
        return []
    names = [parse_name(name, flag) for name in text.split(",")]
    if len(set(names)) < len(names):
        raise StartError(f"--{flag} names a node twice: {text}")
    return sorted(names)


REQUIRED = object()

# flag: (check, default, text of --help); a flag without a check takes no value
FLAGS: "dict[str, tuple[Check | None, object, str]]" = {
    "port": (parse_port, REQUIRED, "PORT: where clients connect, 1 to 65535"),
    "data-dir": (parse_text, REQUIRED, "DIR: data of this node only; created if missing"),
    "role": (
        choice("leader", "follower"),
        REQUIRED,
        "a leader accepts writes; a follower serves reads and refuses writes",
    ),
    "leader": (
        parse_address,
        None,
        "HOST:PORT or PORT of the leader, for a follower; its refusals name it",
    ),
    "name": (parse_name, None, "NAME: what other nodes call this node (default: its address)"),
    "peers": (
        parse_peers,
        {},
        "NAME=HOST:PORT,...: the address at which this node reaches each other node",
    ),
    "host": (parse_text, "127.0.0.1", "HOST: the address to listen on (default 127.0.0.1)"),
    "fsync": (
        choice("always", "interval", "never"),
        "interval",
        "OK means on disk (always), on disk within 1 s (interval, default), or written (never)",
    ),
    "replication": (
        choice("none", "async", "majority", "all"),
        None,
        "none (default): no copies; else OK means that the leader, a majority or all nodes have it",
    ),
    "nodes": (number(1, 15), 3, "how many nodes there are, for majority and all (default 3)"),
    "ack-timeout": (
        number(0.001, 3600, float),
        1.0,
        "seconds until a write without enough copies is indeterminate (default 1)",
    ),
    "term": (
        number(1, 2**31),
        None,
        "lead a new term: the first term from this number on that belongs to this node",
    ),
    "snapshot-after": (
        number(1, 1 << 40),
        16 << 20,
        "bytes of log after which a snapshot replaces it (default 16 MiB)",
    ),
    "elect": (
        None,
        False,
        "the nodes choose their leader (Raft); needs --name and --peers, and no --role",
    ),
    "members": (
        parse_members,
        None,
        "NAME,NAME,...: who votes at first, with --elect (default: this node and its --peers)",
    ),
    "election-timeout": (
        number(0.05, 60, float),
        None,
        "seconds without a leader until an election, with --elect; up to twice that (default 0.5)",
    ),
    "repair": (None, False, "cut a damaged log where the damage begins; log what is lost"),
}


def help_text() -> str:
    """Return what `--help` prints: every flag, then an example."""
    rows = "\n".join(f"  --{flag:<14} {text}" for flag, (_, _, text) in FLAGS.items())
    return f"""{USAGE}

A key-value store with a leader and followers. The leader accepts writes. A follower refuses them
and names the leader.

{rows}

Both --flag value and --flag=value are accepted. An example:
  kvstore --port 9001 --data-dir ./node1 --role=leader
  kvstore --port 9002 --data-dir ./node2 --role=follower --leader=9001
  kv_client --port 9001 put city Paris      ->  OK
  kv_client --port 9002 put city Rome       ->  ERR read-only, leader is on port 9001
Without the client, send one request a line: PUT key value, GET key, DELETE key, PING, STATUS.
"""


def split_flags(argv: list[str]) -> dict[str, str]:
    """Return {flag: text}; raises StartError for an unknown or repeated flag or no value."""
    found: dict[str, str] = {}
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        flag, equals, text = word[2:].partition("=")
        if not word.startswith("--") or flag not in FLAGS:
            known = ", --".join(FLAGS)
            raise StartError(f"unknown argument {word!r}; the flags are --{known} (see --help)")
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


def parse(argv: list[str]) -> Settings:
    """Return the Settings of a command line; raises StartError."""
    found = split_flags(argv)
    values: dict[str, Any] = {}
    for flag, (check, default, _) in FLAGS.items():
        if flag in found:
            values[flag.replace("-", "_")] = check is None or check(found[flag], flag)
        elif default is REQUIRED and not (flag == "role" and "elect" in found):
            raise StartError(f"--{flag} is missing; {USAGE}")
        else:
            values[flag.replace("-", "_")] = default
    if values["elect"]:
        check_elect(found)
        values["role"], values["replication"] = "follower", "majority"
    return Settings(**cross_check(values))


def check_elect(found: dict[str, str]) -> None:
    """Check the flags beside --elect; raises StartError."""
    for flag, reason in NOT_WITH_ELECT.items():
        if flag in found:
            raise StartError(f"--{flag} cannot be given with --elect: {reason}")
    if found.get("replication", "majority") != "majority":
        raise StartError("--replication must be majority with --elect: a majority elects")
    if not found.get("peers"):
        raise StartError("--elect needs --peers: the other nodes, NAME=HOST:PORT,...")


def cross_check(values: "dict[str, Any]") -> "dict[str, Any]":
    """Check the values against each other, and fill in hosts; raises StartError."""
    if values["term"] and values["role"] != "leader":
        raise StartError("--term is for leaders: a follower learns its term from its leader")
    if values["peers"] and values["name"] is None:
        raise StartError("--peers needs --name: the other nodes need a name for this node too")
    if values["name"] in values["peers"]:
        raise StartError(f"--peers names this node itself, {values['name']}; name the others")
    own_host = values["host"]
    if not values["elect"]:
        for flag in ("members", "election-timeout"):
            if values[flag.replace("-", "_")]:
                raise StartError(f"--{flag} needs --elect")
    values["election_timeout"] = values["election_timeout"] or ELECTION_TIMEOUT_S
    known = [values["name"], *values["peers"]]
    values["members"] = values["members"] or sorted(map(str, known))
    for name in values["members"] if values["elect"] else ():
        if name not in known:
            raise StartError(f"--members names {name!r}, which is not in --peers")
    values["peers"] = {
        name: (host or own_host, port) for name, (host, port) in values["peers"].items()
    }
    if values["leader"]:
        host, port = values["leader"]
        values["leader"] = (host or own_host, port)
        if values["role"] == "leader":
            raise StartError("--leader is for followers: a leader has no leader")
        if values["leader"] == (own_host, values["port"]):
            raise StartError(
                f"--leader names this node itself, port {port}; name the leader's address"
            )
    return values
