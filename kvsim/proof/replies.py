"""Classify every recorded reply again, by what the run kept of each program's node.yaml.

Bytes and outcome must agree. Where the bytes do not tell (a reply that did not arrive in time, a
protocol that is not kvsim's own), the outcome stands as it was recorded, and that is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from kvsim.client.description import from_json
from kvsim.client.outcomes import format_bytes, without_a_node
from kvsim.client.recorded_replies import NotDecodable, RecordedExchange, ReplyClassifier
from kvsim.config.program import Program
from kvsim.errors import UsageError
from kvsim.history.journal import decode_json
from kvsim.history.outcome import Outcome, Reason
from kvsim.history.run_record import RequestRecord, RunRecord, request_of
from kvsim.patterns import PatternTooSlow, may_be_too_slow
from kvsim.run_directory import RunDirectory, read_file

# Why nothing follows from the bytes of a request.
NO_DESCRIPTION = "the run has no description of the programs"
NO_REPLY = "no whole reply arrived"
SLOW_PATTERN = "a pattern took too long"


@dataclass
class ClassifiedReplies:
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
    classifiers = _classifiers(run)
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
    return found


def _numbered_requests(record: RunRecord) -> Iterator[tuple[int, RequestRecord]]:
    return (
        (line, request_of(event))
        for line, event in enumerate(record.events, 1)
        if event.kind == "operation"
    )


def _classifiers(run: RunDirectory) -> Mapping[str, ReplyClassifier]:
    try:
        content = decode_json(read_file(run.programs))
    except ValueError as error:
        raise UsageError(f"{run.programs}: is not JSON: {error}") from error
    nodes = from_json(content, run.programs)
    return {name: ReplyClassifier(node) for name, node in nodes.items()}


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


def _classify(
    request: RequestRecord, classifier: ReplyClassifier, trailing_bytes: int = 0
) -> tuple[RecordedExchange, Outcome]:
    recording = RecordedExchange(
        request.verb,
        request.sent,
        request.received,
        request.status,
        request.stderr,
        request.unsolicited,
        trailing_bytes,
    )
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
