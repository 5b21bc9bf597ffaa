"""Send one request to a node, in its program's own protocol, and print the reply as it came.

WHO is a node's name of the cluster that is up (n1), or `leader`; or give --port (and --host) of any reference store.
Exit status: 0 accepted or read, 1 refused, not found or no match, 2 unknown (no answer: it may have happened).
"""

from __future__ import annotations

import argparse
import dataclasses

from kvsim.checks.expectations import describe
from kvsim.cli.arguments import add_cluster, add_json
from kvsim.cli.files import load_running
from kvsim.client.connect import connect
from kvsim.client.exchange import Answer, Client, Request
from kvsim.client.status import ask_status
from kvsim.config.names import REQUEST_FIELDS
from kvsim.config.spelling import did_you_mean
from kvsim.errors import UsageError
from kvsim.history.outcome import Kind
from kvsim.launcher.launcher import Launcher

VERBS = (*REQUEST_FIELDS, "ping", "status")
STATUS = {Kind.OK: 1, Kind.REFUSED: 1, Kind.UNKNOWN: 2}  # of what was not done


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "words",
        nargs="+",
        metavar="WORD",
        help="[WHO] VERB [KEY [VALUE]]: n1 put k v, n1 cas k EXPECTED VALUE; with --port no WHO",
    )
    parser.add_argument(
        "--port", type=int, help="talk to this port instead of a node of the cluster that is up"
    )
    parser.add_argument("--host", default="127.0.0.1", help="with --port (default: 127.0.0.1)")
    parser.add_argument(
        "--timeout",
        type=float,
        default=2.0,
        metavar="SECONDS",
        help="how long to wait for the answer (default: 2)",
    )
    add_cluster(parser)
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    client, words = _client(arguments)
    try:
        answer = client.ask(_request(words), arguments.timeout)
    finally:
        client.close()
    _print(answer, arguments.json)
    return 0 if answer.outcome.done else STATUS[answer.outcome.kind]


def _client(arguments: argparse.Namespace) -> tuple[Client, list[str]]:
    background = load_running(arguments.cluster)
    if arguments.port is not None:
        return connect(
            background.cluster.nodes[0].program, arguments.host, arguments.port, names={}
        ), arguments.words
    launcher = background.held()
    who, *words = arguments.words
    name = _leader(launcher) if who == "leader" else who
    if name not in launcher.nodes:
        raise UsageError(
            f"no node is called `{who}`; there are {', '.join(launcher.nodes)} (or leader, or --port)"
        )
    return launcher.connect(name), words


def _leader(launcher: Launcher) -> str:
    for name, node in launcher.nodes.items():
        if node.up:
            client = launcher.connect(name)
            status = ask_status(client, node.program, 1.0)
            client.close()
            if (status.role if status else node.spec.role) == "leader":
                return name
    raise UsageError("no node says that it is the leader")


def _request(words: list[str]) -> Request:
    if not words:
        raise UsageError(
            "what shall be asked? put KEY VALUE, get KEY, delete KEY, cas KEY EXPECTED VALUE, ping, status"
        )
    verb, *rest = words
    if verb not in VERBS:
        raise UsageError(f"there is no request `{verb}`{did_you_mean(verb, VERBS)}")
    names = REQUEST_FIELDS.get(verb, ())
    if len(rest) != len(names):
        raise UsageError(
            f"{verb} takes {' and '.join(names) or 'nothing more'}; got {' '.join(rest) or 'nothing'}"
        )
    return Request(verb, dict(zip(names, rest, strict=True)))


def _print(answer: Answer, as_json: bool) -> None:
    outcome = answer.outcome
    if as_json:
        import json

        print(json.dumps({**outcome.to_json(), "exchange": _plain(answer.exchange)}))
    elif outcome.value is not None and outcome.done:
        print(outcome.value)
    elif outcome.kind is Kind.OK and answer.exchange.received:
        print(answer.exchange.received.decode("utf-8", "backslashreplace").rstrip("\r\n"))
    else:
        print(describe(outcome))


def _plain(exchange) -> dict[str, object]:
    return {
        name: value.decode("latin-1") if isinstance(value, bytes) else value
        for name, value in dataclasses.asdict(exchange).items()
    }
