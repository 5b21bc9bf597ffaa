"""Send one request to a node, in its program's own protocol, and print the reply as it came.

NODE is a node of the cluster that is up: its name (n1), or `leader`; or give --port
(and --host) of any node of the same program.
Exit status: 0 accepted or read, 1 refused, not found or no match, 2 unknown (no answer: it may have
happened).
"""

from __future__ import annotations

import argparse
import json

from msgspec.structs import asdict

from kvsim.argument_types import PORT, Seconds
from kvsim.checks.expectations import describe
from kvsim.cli.arguments import Subcommand, add_cluster, add_json
from kvsim.cli.loading import load_running
from kvsim.cli.waiting_line import waiting_for
from kvsim.client.connect import connect
from kvsim.client.exchange import Client, Exchange, Request, Response
from kvsim.client.status import ask_status
from kvsim.config.names import REQUEST_FIELDS
from kvsim.config.program import Role
from kvsim.errors import Exit, UsageError
from kvsim.history.outcome import OutcomeKind
from kvsim.launcher.launcher import Launcher
from kvsim.text import did_you_mean

VERBS = (*REQUEST_FIELDS, "ping", "status")
EXAMPLES = "put KEY VALUE, get KEY, delete KEY, cas KEY EXPECTED VALUE, ping, status"
STATUS_TIMEOUT_S = 1.0
# Of requests that were not done as asked.
NOT_DONE = {
    OutcomeKind.OK: Exit.FAIL,
    OutcomeKind.REFUSED: Exit.FAIL,
    OutcomeKind.UNKNOWN: Exit.UNKNOWN,
}


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words",
        nargs="+",
        metavar="WORD",
        help="[NODE] VERB [KEY [VALUE]]: n1 put k v, n1 cas k EXPECTED VALUE; with --port no NODE",
    )
    parser.add_argument(
        "--port", type=PORT, help="ask at this port instead of a node of the cluster that is up"
    )
    parser.add_argument("--host", default="127.0.0.1", help="with --port (default: 127.0.0.1)")
    parser.add_argument(
        "--timeout",
        type=Seconds(),
        default=2.0,
        metavar="SECONDS",
        help="how long to wait for the answer (default: 2)",
    )
    add_cluster(parser)
    add_json(parser)


def _run(arguments: argparse.Namespace) -> int:
    client, words = _connect(arguments)
    try:
        with waiting_for(f"an answer, for at most {arguments.timeout:g} s"):
            response = client.ask(_parse_request(words), arguments.timeout)
    finally:
        client.close()
    _print(response, arguments.json)
    outcome = response.outcome
    return int(Exit.PASS if outcome.done else NOT_DONE[outcome.kind])


def _connect(arguments: argparse.Namespace) -> tuple[Client, list[str]]:
    """A client of the node, and the words of the request."""
    background = load_running(arguments.cluster)
    if arguments.port is not None:
        program = background.cluster.nodes[0].program
        return connect(program, arguments.host, arguments.port, names={}), arguments.words
    launcher = background.attach_read_only()
    node, *words = arguments.words
    name = _find_leader(launcher) if node == Role.LEADER else node
    if name not in launcher.nodes:
        known = ", ".join(launcher.nodes)
        raise UsageError(f"no node is called `{node}`; there are {known} (or leader, or --port)")
    return launcher.connect(name), words


def _find_leader(launcher: Launcher) -> str:
    """The first node that reports that it is the leader. Raises UsageError."""
    for name, node in launcher.nodes.items():
        if node.up:
            client = launcher.connect(name)
            status = ask_status(client, node.program, STATUS_TIMEOUT_S, launcher.client_names(name))
            client.close()
            if (status.role if status else node.spec.role) is Role.LEADER:
                return name
    raise UsageError("no node reports that it is the leader")


def _parse_request(words: list[str]) -> Request:
    if not words:
        raise UsageError(f"no request is given: {EXAMPLES}")
    verb, *rest = words
    if verb not in VERBS:
        raise UsageError(f"there is no request `{verb}`{did_you_mean(verb, VERBS)}")
    names = REQUEST_FIELDS.get(verb, ())
    if len(rest) != len(names):
        expected, given = " and ".join(names) or "nothing more", " ".join(rest) or "nothing"
        raise UsageError(f"{verb} takes {expected}; got {given}")
    return Request(verb, dict(zip(names, rest, strict=True)))


def _print(response: Response, as_json: bool) -> None:
    outcome = response.outcome
    if as_json:
        print(json.dumps({**outcome.to_json(), "exchange": _to_json(response.exchange)}))
    elif outcome.value is not None and outcome.done:
        print(outcome.value)
    elif outcome.kind is OutcomeKind.OK and response.exchange.received:
        print(response.exchange.received.decode("utf-8", "backslashreplace").rstrip("\r\n"))
    else:
        print(describe(outcome))


def _to_json(exchange: Exchange) -> dict[str, object]:
    return {
        name: value.decode("latin-1") if isinstance(value, bytes) else value
        for name, value in asdict(exchange).items()
    }


COMMANDS = {"client": Subcommand(__doc__, _configure, _run)}
