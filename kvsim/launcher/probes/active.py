"""Probes that ask a node: by a request of its protocol, by HTTP, or by a command beside it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from kvsim.client.connect import connect
from kvsim.client.exchange import Exchange, Request, Response
from kvsim.client.settings import described_end
from kvsim.config.command_words import fill_words
from kvsim.config.program import Program, Speak
from kvsim.config.program_schema import ARGV, EXITS
from kvsim.config.protocol_schema import STATUSES
from kvsim.config.schema import WORD, ByNodeKind, Field, Flag, ListOf, Pattern, Record, Text
from kvsim.config.template import ARGUMENT_SCOPE, NODE_SCOPE, render
from kvsim.errors import UsageError
from kvsim.history.journal import to_text
from kvsim.history.outcome import BEFORE_THE_REQUEST, OutcomeKind
from kvsim.launcher.node import Node
from kvsim.launcher.prepare import environment_of
from kvsim.launcher.probes.declaration import (
    ProbeContext,
    ProbeResult,
    Settings,
    matches,
    probe_kind,
    shown,
)
from kvsim.timeouts import DefaultTimeout

COMMAND_TIMEOUT_S = DefaultTimeout(5.0)
OUTPUT_MAX_BYTES = 1 << 20
HTTP_PORT = 80
# For a `get` that stands in for a ping: a key that no scenario writes.
UNUSED_KEY = "kvsim-readiness-probe"

REQUEST = Record(
    "request probe",
    {
        "send": Field(
            Text("a verb in `requests`", pattern=WORD),
            "which request",
            required=True,
            attribute="request",
        ),
        "reply": Field(
            Pattern(template=NODE_SCOPE),
            "what the reply must hold",
            default_text="any reply that is `ok`",
        ),
    },
    bare="send",
)
HTTP = Record(
    "HTTP probe",
    {
        "url": Field(
            Text("a path or URL", template=NODE_SCOPE),
            "a path on the client port, or a whole URL",
            required=True,
        ),
        "status": Field(
            STATUSES, "statuses that mean ready", default=frozenset({200}), default_text="200"
        ),
        "body": Field(Pattern(template=NODE_SCOPE), "what the body must hold"),
    },
    bare="url",
)


def _run_only(argv: Iterable[str]) -> dict[str, object]:
    """The settings of a command that is written as a bare list."""
    return {"run": tuple(argv), "exit": frozenset({0})}


COMMAND = ByNodeKind(
    "a list of arguments or a mapping (run, exit, output)",
    items=ListOf(Text("one argument", template=ARGUMENT_SCOPE), length_min=1, result=_run_only),
    mapping=Record(
        "command probe",
        {
            "run": Field(ARGV, "the command", required=True),
            "exit": Field(
                EXITS, "exit statuses that mean ready", default=frozenset({0}), default_text="0"
            ),
            "output": Field(Pattern(template=NODE_SCOPE), "what its output must hold"),
        },
    ),
)


@probe_kind("ping", Flag(), order=30)
def ping(context: ProbeContext, settings: Settings) -> ProbeResult:
    """The `ping` request is answered with ok."""
    return _request(context, "ping", None)


@probe_kind("request", REQUEST, order=40)
def request(context: ProbeContext, settings: Settings) -> ProbeResult:
    """A request gets the expected reply."""
    return _request(context, str(settings["request"]), settings.get("reply"))


def _request(context: ProbeContext, verb: str, pattern: object) -> ProbeResult:
    fields = {"key": UNUSED_KEY} if verb in ("get", "delete") else {}
    response = context.client().ask(Request(verb, fields), context.next_timeout_s())
    exchange, outcome = response.exchange, response.outcome
    if exchange.failure is None and (
        outcome.kind is OutcomeKind.OK
        if pattern is None
        else matches(pattern, exchange.text, context.names)
    ):
        return ProbeResult({"sent": to_text(exchange.sent), "received": to_text(exchange.received)})
    context.close_client()
    return ProbeResult(
        observed=f"{verb} got {outcome.detail or outcome.reason or shown(exchange.text)}",
        unmatched=_unmatched(context.node.program, response, pattern),
    )


def _unmatched(program: Program, response: Response, pattern: object) -> str:
    exchange, outcome = response.exchange, response.outcome
    if exchange.failure is None:
        # A refusal is a reply that node.yaml knows.
        refused = outcome.kind is OutcomeKind.REFUSED
        return "" if refused else "`replies`" if pattern is None else f"{pattern!r}"
    if exchange.failure != "timeout" and not exchange.problem.startswith(BEFORE_THE_REQUEST):
        return ""
    return described_end(program.speak, exchange.sent, exchange.received)


@probe_kind("http", HTTP, order=50)
def http(context: ProbeContext, settings: Settings) -> ProbeResult:
    """An HTTP request gets the expected status or body."""
    url = render(str(settings["url"]), context.names)
    exchange = _fetch(context, *_split(url, context.node))
    statuses = settings.get("status") or (200,)
    if exchange.failure:
        return ProbeResult(observed=f"GET {url}: {exchange.problem or exchange.failure}")
    body = shown(exchange.text)
    if exchange.status in statuses and matches(settings.get("body"), exchange.text, context.names):
        return ProbeResult({"url": url, "status": exchange.status, "body": body})
    unmatched = repr(settings["body"]) if exchange.status in statuses else ""
    return ProbeResult(None, f"GET {url} got status {exchange.status}, {body!r}", unmatched)


def _split(url: str, node: Node) -> tuple[str, int, str]:
    """Host, port and path. A path alone is on the node's client port."""
    if url.startswith("/"):
        return (*node.address.host_port, url)
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return parts.hostname or node.address.host, parts.port or HTTP_PORT, path


def _fetch(context: ProbeContext, host: str, port: int, path: str) -> Exchange:
    """One GET, through the client that speaks HTTP to stores."""
    program = Program(
        name=f"{context.node.program.name} (ready: http)",
        folder=context.node.program.folder,
        start={},
        speak=Speak("http", {"connection": "per_request"}),
        requests={"fetch": {"path": path}},
    )
    client = connect(program, host, port, names=context.names)
    try:
        return client.ask(Request("fetch"), context.next_timeout_s()).exchange
    finally:
        client.close()


@probe_kind("command", COMMAND, order=60)
def command(context: ProbeContext, settings: Settings) -> ProbeResult:
    """A command ends with the expected status or output."""
    # Late, because few programs have such a probe.
    from kvsim.client.subprocess_io import run

    node = context.node
    words = fill_words(settings["run"], context.names, node.program.folder, node.folder)
    deadline = time.monotonic() + context.timeouts.of(COMMAND_TIMEOUT_S)
    try:
        done = run(
            [word.encode() for word in words],
            b"",
            environment_of(node, context.names),
            Path(node.folder),
            deadline,
            OUTPUT_MAX_BYTES,
        )
    except UsageError as error:
        return ProbeResult(observed=str(error))
    output = bytes(done.stdout + done.stderr).decode("utf-8", "replace")
    expected = done.failure is None and done.status in (settings.get("exit") or (0,))
    if expected and matches(settings.get("output"), output, context.names):
        return ProbeResult({"command": list(words), "status": done.status, "output": shown(output)})
    end = done.problem or f"ended with status {done.status}"
    unmatched = repr(settings["output"]) if expected else ""
    return ProbeResult(None, f"`{' '.join(words)}` {end}, {shown(output)!r}", unmatched)
