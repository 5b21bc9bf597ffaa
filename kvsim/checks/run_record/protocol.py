"""Checks of requests and replies: who answered, whether every request was answered, and once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from kvsim.checks.expectations import describe
from kvsim.checks.run_record.run_check import run_check
from kvsim.checks.verdict import Finding, Verdict
from kvsim.history.journal import Event, to_bytes
from kvsim.history.outcome import OutcomeKind, Reason
from kvsim.history.run_record import RequestRecord, RunRecord
from kvsim.text import plural, quote_bytes, truncate

SENT_MAX = 200
UNANSWERED = {Reason.TIMEOUT, Reason.RESET, Reason.CLOSED}


@run_check(
    "Every answer came from a process that kvsim started: the listening port is owned by it",
    order=40,
)
def replies_come_from_nodes(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every connection by what the operating system reported at the time. Answers of a
    process that kvsim did not start prove nothing: invalid.
    """
    owners = list(record.of_kind("owner"))
    findings = [
        Finding(
            f"{event['node']}: {event['description']}", node=event["node"], verdict=Verdict.INVALID
        )
        for event in owners
        if event["foreign"]
    ]
    return sum(1 for event in owners if event["owned"]) + len(findings), findings


@run_check(
    "Every request to a node that is up is answered, with a reply that node.yaml describes",
    order=160,
)
def every_request_is_answered(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every request but those of steps that expect `unknown`, and those that a fault on
    their node touched. A missing answer is unknown; it proves no failure. A node that is up, has no
    fault on it, and does not answer with five times the limit either, while neither it nor kvsim
    was kept from running, is silent: a failure, though the outcome of the request stays unknown.
    A reply to a load that no rule knows is unknown too, where nothing disturbed the load: it may be
    an error of the store, or a rule that is missing.
    """
    unknown_expected = {
        step.id
        for step in record.steps
        if step.expectation and step.expectation["kind"] == "unknown"
    }
    requests = [
        request
        for request in record.operations
        if request.step not in unknown_expected
        and request.outcome.reason is not Reason.UNREACHABLE
        and not (request.outcome.reason in UNANSWERED and record.touched(request))
    ]
    silent = {event["request"]: event for event in record.of_kind("silent")}
    findings = [
        _unanswered(request, silent.get(request.id))
        for request in requests
        if _is_unanswered(request)
    ]
    return len(requests), [*findings, *_unrecognised_in_loads(record)]


# A node that starts, ends or changes its role may answer in words of its own.
DISTURBING = frozenset({"spawn", "stopped", "exit", "signal", "fault_begin", "promote"})


def _unrecognised_in_loads(record: RunRecord) -> Iterator[Finding]:
    """One finding for each load, node and verb with replies that no rule knows."""
    replies: dict[tuple[str, str, str], list[str]] = {}
    for event in record.of_kind("load_reply"):
        place = event["name"], event["node"], event["verb"]
        replies.setdefault(place, []).append(event["reply"])
    disturbed = _disturbed_loads(record) if replies else set()
    for (load, node, verb), texts in replies.items():
        if load not in disturbed:
            text = (
                f"{node}: no rule in `replies` fits what it answered to `{verb}` of load {load}, "
                f"such as {texts[0]} ({plural(len(texts), 'time')}): say in node.yaml what it means"
            )
            yield Finding(text, node=node, verdict=Verdict.UNKNOWN)


def _disturbed_loads(record: RunRecord) -> set[str]:
    """The loads during which a node started, ended, or was under a fault."""
    running: set[str] = set()
    disturbed: set[str] = set()
    faulty = 0
    for event in record.events:
        if event.kind == "load_start":
            running.add(event["name"])
        elif event.kind == "load_stop":
            running.discard(event["name"])
        faulty += (event.kind == "fault_begin") - (event.kind == "fault_end")
        if faulty or event.kind in DISTURBING:
            disturbed |= running
    return disturbed


def _is_unanswered(request: RequestRecord) -> bool:
    tolerated = {Reason.UNCERTAIN}
    # A `raw` step may get a reply that node.yaml does not describe: its expectation judges the
    # reply.
    if request.verb == "raw":
        tolerated.add(Reason.UNRECOGNISED)
    outcome = request.outcome
    return outcome.kind is OutcomeKind.UNKNOWN and outcome.reason not in tolerated


def _unanswered(request: RequestRecord, silent: Event | None) -> Finding:
    recognised = request.outcome.reason is not Reason.UNRECOGNISED
    sent = " ".join(part for part in (request.verb, request.key) if part)
    text = f"{request.node}: `{sent}`: {describe(request.outcome)}"
    kept = silent["kept_from_running"] if silent else ""
    if silent and kept:
        text += f"; nor did it answer {silent['asked']}; {kept}"
    elif silent:
        text += (
            f"; it is up and silent: it answered neither {truncate(repr(request.sent), SENT_MAX)} "
            f"within {request.allowed_s or 0:.3g}s nor {silent['asked']}, and nothing kept it from "
            "running"
        )
    unknown = recognised and (silent is None or bool(kept))
    return Finding(text, request.step, request.node, Verdict.UNKNOWN if unknown else Verdict.FAIL)


@run_check(
    "A node answers each request once: no byte arrives that belongs to no request", order=170
)
def one_reply_per_request(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges every request on a socket. A second or late answer is found before the next request,
    or when kvsim closes the connection.
    """
    requests = [request for request in record.operations if request.connection]
    findings = [
        Finding(_unsolicited(request.node, request.unsolicited), request.step, request.node)
        for request in requests
        if request.unsolicited
    ]
    findings += [
        Finding(_unsolicited(event["node"], to_bytes(event["received"])), node=event["node"])
        for event in record.of_kind("unsolicited")
    ]
    return len(requests), findings


def _unsolicited(node: str, received: bytes) -> str:
    return (
        f"{node} sent {len(received)} bytes that belong to no request: {quote_bytes(received[:80])}"
    )


@run_check("A node keeps a client's connection open from one request to the next", order=180)
def connections_last(record: RunRecord) -> tuple[int, list[Finding]]:
    """Judges programs whose node.yaml says `connection: persistent`, except those that speak HTTP,
    which may close an idle connection at any time. A new connection after an answered request means
    that the node closed the old one, unless the node sent unsolicited bytes before (from then on
    kvsim opens a connection for each request), or a fault may have ended it.
    """
    judged, closed = closed_when_idle(record, "promised")
    return judged, [
        Finding(f"{node} closed an idle connection {count} times", node=node)
        for node, count in closed.items()
    ]


def closed_when_idle(record: RunRecord, connections: str) -> tuple[int, Mapping[str, int]]:
    """How many connections could last, and how often each node closed one.

    Only nodes whose program keeps connections as `connections` says: `promised` or `usual`.
    """
    previous: dict[tuple[str, int], RequestRecord] = {}
    closed: Counter[str] = Counter()
    unsolicited: set[tuple[str, int]] = set()
    judged = 0
    for request in record.operations:
        start = (request.node, request.incarnation)
        if request.unsolicited:
            unsolicited.add(start)
        lasting = record.nodes[request.node].get("connections") == connections
        if not lasting or not request.connection or start in unsolicited:
            continue
        before = previous.get(start)
        judged += before is not None
        closed[request.node] += before is not None and _was_closed(record, before, request)
        previous[start] = request
    return judged, +closed


def _was_closed(record: RunRecord, before: RequestRecord, request: RequestRecord) -> bool:
    """Whether the node closed the connection of `before`, which it had answered."""
    return (
        before.outcome.kind is not OutcomeKind.UNKNOWN
        and before.connection != request.connection
        and not record.faulty(request.node, before.completed_s, request.invoked_s)
    )
