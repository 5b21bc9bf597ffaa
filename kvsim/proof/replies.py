"""Classify every recorded reply again, by what the run kept of each program's node.yaml.

Bytes and outcome must agree. Where the bytes do not tell (a reply that did not arrive in time, a
protocol that is not kvsim's own), the outcome stands as it was recorded, and that is counted.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from kvsim.client.description import ClientDescription, from_json
from kvsim.client.outcomes import format_bytes, without_a_node
from kvsim.client.recorded_replies import NotDecodable, RecordedExchange, ReplyClassifier
from kvsim.config.program import Program
from kvsim.errors import UsageError
from kvsim.history.journal import Event, decode_json, to_bytes
from kvsim.history.outcome import Outcome, OutcomeKind, Reason
from kvsim.history.run_record import RequestRecord, RunRecord, request_of
from kvsim.patterns import PatternTooSlow, may_be_too_slow
from kvsim.proof.recorded_starts import wrong_starts
from kvsim.run_directory import RunDirectory, read_file

# Why nothing follows from the bytes of a request.
NO_DESCRIPTION = "the run has no description of the programs"
NO_REPLY = "no whole reply arrived"
SLOW_PATTERN = "a pattern took too long"


class ClassifiedReplies(Struct):
    """How many replies gave their outcome again, why others could not, and one line for each
    outcome that its reply does not give.
    """

    agreeing: int = 0
    undecided: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)


def classify_replies(run: RunDirectory, record: RunRecord) -> ClassifiedReplies:
    """Compare all requests. Raises UsageError for descriptions that cannot be read."""
    found = ClassifiedReplies()
    requests = list(_numbered_requests(record))
    if not run.programs.exists():
        found.undecided[NO_DESCRIPTION] = len(requests)
        return found
    nodes = read_descriptions(run)
    classifiers = {name: ReplyClassifier(node) for name, node in nodes.items()}
    for line, request in requests:
        classifier = classifiers.get(request.node)
        if classifier is None:
            raise UsageError(f"{run.programs}: does not describe {request.node}")
        try:
            agreed = _agrees(request, classifier)
        except NotDecodable as error:
            found.undecided[str(error)] += 1
            continue
        if agreed:
            found.agreeing += 1
        else:
            found.problems.append(f"{run.journal}:{line}: {_contradiction(request, classifier)}")
    found.problems += [
        f"{run.journal}:{line}: {problem}"
        for line, problem in (
            *_roles(record, classifiers),
            *_pings(record, classifiers),
            *wrong_starts(record, nodes),
        )
    ]
    return found


def _roles(
    record: RunRecord, classifiers: Mapping[str, ReplyClassifier]
) -> Iterator[tuple[int, str]]:
    """Read every role and its fields again from the reply that the event follows: the line, and
    what is wrong. Replies that are not decodable are counted with the requests.
    """
    asked: dict[str, RequestRecord] = {}
    for line, event in enumerate(record.events, 1):
        if event.kind == "operation" and event["purpose"] == "role":
            asked[event["node"]] = request_of(event)
        elif event.kind == "role":
            classifier = classifiers.get(event["node"])
            reply = asked.pop(event["node"], None)
            if classifier is None:
                continue
            if problem := _wrong_role(event, classifier, reply, record.nodes[event["node"]]):
                yield line, problem


def _pings(
    record: RunRecord, classifiers: Mapping[str, ReplyClassifier]
) -> Iterator[tuple[int, str]]:
    """The reply to a ping that made a node ready must be one that makes it ready."""
    for line, event in enumerate(record.events, 1):
        ping = event["probes"].get("ping") if event.kind == "ready" else None
        classifier = classifiers.get(event.get("node", ""))
        if not ping or classifier is None:
            continue
        exchange = RecordedExchange(
            "ping", to_bytes(ping.get("sent", "")), to_bytes(ping.get("received", ""))
        )
        with contextlib.suppress(NotDecodable, PatternTooSlow):
            if classifier.classify(exchange).outcome.kind is not OutcomeKind.OK and exchange.whole:
                yield line, f"the reply to the ping of {event['node']} does not make it ready"


def _wrong_role(
    event: Event,
    classifier: ReplyClassifier,
    asked: RequestRecord | None,
    plan: Mapping[str, Any],
) -> str:
    node, query = event["node"], classifier.program.status
    if query is None:
        configured = event["how"] == "as configured" and event["role"] != plan["role"]
        return f"{node} is not the {event['role']} that it is said to be" if configured else ""
    if (event["how"] == "reports") != (event["role"] is not None):
        return f"{node} is asked for its role, which is not `{event['how']}`"
    if asked is None:
        return f"the role of {node} follows no reply to a status request"
    wrong: list[str] = []
    for trailing_bytes in {0, len(asked.unsolicited)}:
        try:
            status = classifier.status(query, _recording_of(asked, trailing_bytes))
        except (NotDecodable, PatternTooSlow):
            return ""
        read = {"role": status.role, "fields": dict(status.fields)}
        wrong = [name for name, value in read.items() if event[name] != value]
        if not wrong:
            return ""
    return f"the reply of request {asked.id} does not give this `{wrong[0]}` of {node}"


def _numbered_requests(record: RunRecord) -> Iterator[tuple[int, RequestRecord]]:
    return (
        (line, request_of(event))
        for line, event in enumerate(record.events, 1)
        if event.kind == "operation"
    )


def read_descriptions(run: RunDirectory) -> Mapping[str, ClientDescription]:
    """What the run kept of each node's program. Raises UsageError when it cannot be read."""
    try:
        content = decode_json(read_file(run.programs))
    except ValueError as error:
        raise UsageError(f"{run.programs}: is not JSON: {error}") from error
    return from_json(content, run.programs)


def _agrees(request: RequestRecord, classifier: ReplyClassifier) -> bool:
    """Raises NotDecodable when the bytes do not tell."""
    recorded = request.outcome
    for trailing_bytes in {0, len(request.unsolicited)}:
        recording, again = _classify(request, classifier, trailing_bytes)
        if _same(recorded, again, exactly=not request.unsolicited):
            return True
        if not (recording.whole or recorded.answered):
            raise NotDecodable(NO_REPLY)
        if Reason.UNRECOGNISED in (recorded.reason, again.reason) and _may_be_slow(
            request, classifier.program
        ):
            raise NotDecodable(SLOW_PATTERN)
    return False


def _recording_of(request: RequestRecord, trailing_bytes: int = 0) -> RecordedExchange:
    """The bytes of a request as the run recorded them."""
    return RecordedExchange(
        request.verb,
        request.sent,
        request.received,
        request.status,
        request.stderr,
        request.unsolicited,
        trailing_bytes,
    )


def _classify(
    request: RequestRecord, classifier: ReplyClassifier, trailing_bytes: int = 0
) -> tuple[RecordedExchange, Outcome]:
    recording = _recording_of(request, trailing_bytes)
    try:
        response = classifier.classify(recording)
    except PatternTooSlow:
        raise NotDecodable(SLOW_PATTERN) from None
    if not request.connection and request.outcome.reason is Reason.UNREACHABLE:
        response = without_a_node(response)
    return recording, response.outcome


def _may_be_slow(request: RequestRecord, program: Program) -> bool:
    length = max(len(request.received), len(request.stderr))
    rules = (rule for rules in program.replies.values() for rule in rules)
    patterns = (
        pattern
        for rule in rules
        for pattern in (rule.reply, rule.stderr, *rule.headers.values())
        if pattern is not None
    )
    return any(may_be_too_slow(pattern, length) for pattern in patterns)


def _same(recorded: Outcome, again: Outcome, *, exactly: bool) -> bool:
    """`exactly`: also in the words for people, which may quote bytes that came later."""
    if exactly:
        return recorded == again
    return replace(recorded, detail="") == replace(again, detail="")


def _contradiction(request: RequestRecord, classifier: ReplyClassifier) -> str:
    _, again = _classify(request, classifier)
    reply = format_bytes(request.received)
    return (
        f"request {request.id} ({request.verb}) is recorded as {_in_words(request.outcome)}; its "
        f"reply {reply} gives {_in_words(again)}"
    )


def _in_words(outcome: Outcome) -> str:
    fields = {name: value for name, value in outcome.to_json().items() if name != "kind"}
    more = ", ".join(f"{name} {value!r}" for name, value in fields.items())
    return f"{outcome.kind} ({more})" if more else str(outcome.kind)
