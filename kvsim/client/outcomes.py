"""The outcome of an exchange: the program's outcome rules applied to a reply.

A refusal is a strong claim (it certainly did not
happen), so it is never the default. A reply that no rule matches is unknown, and its bytes are
shown. So is a reply that reads like a refusal and is followed by unsolicited bytes.

A verb has its own outcome rules, then those for any verb. They are checked once, when a client is
made.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from msgspec.structs import replace

from kvsim.client.exchange import Exchange, Response
from kvsim.config.program import REFUSING, Program, ReplyRule
from kvsim.config.protocol_schema import GROUPS
from kvsim.errors import UsageError
from kvsim.history.outcome import Outcome, OutcomeKind, Reason
from kvsim.patterns import PatternTooSlow, search
from kvsim.text import quote_bytes

# Messages quote at most this many bytes.
QUOTED_BYTES_MAX = 200

FAILURES: dict[str, tuple[OutcomeKind, Reason]] = {
    "unreachable": (OutcomeKind.REFUSED, Reason.UNREACHABLE),
    "timeout": (OutcomeKind.UNKNOWN, Reason.TIMEOUT),
    "reset": (OutcomeKind.UNKNOWN, Reason.RESET),
    "closed": (OutcomeKind.UNKNOWN, Reason.CLOSED),
    "oversize": (OutcomeKind.UNKNOWN, Reason.UNRECOGNISED),
    "malformed": (OutcomeKind.UNKNOWN, Reason.UNRECOGNISED),
}
# The groups that name the leader, the most precise first.
LEADER_GROUPS = tuple(group for group in GROUPS if group.startswith("leader"))


def classify(rules: Sequence[ReplyRule], exchange: Exchange) -> tuple[Outcome, dict[str, str]]:
    """The outcome of `exchange` under `rules` (first match wins) and the named groups of the rule
    that matched.
    """
    if exchange.failure is not None:
        return _failed(exchange), {}
    try:
        found = _first_match(rules, exchange)
    except PatternTooSlow as error:
        # Nothing is known of the reply then.
        return Outcome(OutcomeKind.UNKNOWN, Reason.UNRECOGNISED, detail=str(error)), {}
    if found is not None:
        rule, groups = found
        return _outcome_by_rule(rule, exchange, exchange.text, groups), groups
    problem = (
        "no reply rule matches"
        if rules
        else "the program has no reply rules for this verb, so nothing is known about"
    )
    detail = f"{problem} {describe_reply(exchange)}"
    return Outcome(OutcomeKind.UNKNOWN, Reason.UNRECOGNISED, detail=detail), {}


def matching_rule(rules: Sequence[ReplyRule], exchange: Exchange) -> ReplyRule | None:
    """The rule that decides the outcome; None when none matches, and for a failure."""
    found = _first_match(rules, exchange) if exchange.failure is None else None
    return None if found is None else found[0]


def without_a_node(response: Response) -> Response:
    """The response of a client whose node was not running when it was asked.

    A client command that failed in words that no rule knows could not connect. (kvsim's own clients
    know themselves that they could not.)
    """
    exchange, outcome = response.exchange, response.outcome
    could_connect = exchange.connection or exchange.failure or exchange.status in (None, 0)
    if outcome.reason is not Reason.UNRECOGNISED or could_connect:
        return response
    detail = f"the node is down, and the client failed: {describe_reply(exchange)}"
    return replace(
        response, outcome=Outcome(OutcomeKind.REFUSED, Reason.UNREACHABLE, detail=detail)
    )


def format_bytes(data: bytes, limit: int = QUOTED_BYTES_MAX) -> str:
    """Bytes in quotes, as text where they are text, otherwise as `b'…'`: the first `limit` of them,
    and then how many there are.
    """
    if len(data) > limit:
        return f"{quote_bytes(data[:limit])}… ({len(data)} bytes)"
    return quote_bytes(data)


def format_end(data: bytes, limit: int = QUOTED_BYTES_MAX) -> str:
    """Bytes as printable text, of many the last ones: a program says last why it failed."""
    return repr(data) if len(data) <= limit else f"…{data[-limit:]!r} ({len(data)} bytes)"


def describe_reply(exchange: Exchange) -> str:
    """The reply in one printable line, with exit or HTTP status and stderr where there are any."""
    parts = [format_bytes(exchange.received if exchange.reply is None else exchange.reply)]
    if exchange.status is not None:
        parts.append(f"status {format_status(exchange.status)}")
    if exchange.stderr:
        parts.append(f"stderr {format_end(exchange.stderr)}")
    return ", ".join(parts)


def format_status(status: int) -> str:
    """A status as text. A negative one is the signal that ended the process: `-9 (SIGKILL)`."""
    if status >= 0:
        return str(status)
    names = {member.value: member.name for member in signal.Signals}
    return f"{status} ({names.get(-status, 'an unknown signal')})"


def check_rules(rules: Sequence[ReplyRule]) -> str | None:
    """What is wrong with these rules, or None: a pattern that is no regular expression, a refusal
    without a condition.
    """
    for rule in rules:
        if rule.outcome in REFUSING and _unconditional(rule):
            return f"`{rule.outcome}` has no condition and would take every reply for a refusal"
        for pattern in (rule.reply, rule.stderr, *rule.headers.values()):
            try:
                _compiled(pattern or "")
            except re.error as error:
                return f"`{rule.outcome}`: {pattern!r} is not a regular expression: {error}"
    return None


def _first_match(
    rules: Sequence[ReplyRule], exchange: Exchange
) -> tuple[ReplyRule, dict[str, str]] | None:
    """The first rule that matches, and its named groups."""
    text = exchange.text
    for rule in rules:
        groups = _match(rule, exchange, text)
        if groups is not None:
            return rule, groups
    return None


def _failed(exchange: Exchange) -> Outcome:
    kind, reason = FAILURES.get(exchange.failure or "", (OutcomeKind.UNKNOWN, Reason.UNRECOGNISED))
    # Once bytes were sent, it may have happened.
    if reason is Reason.UNREACHABLE and exchange.sent:
        kind, reason = OutcomeKind.UNKNOWN, Reason.RESET
    detail = exchange.problem or str(exchange.failure)
    if exchange.received:
        detail += f"; received {format_bytes(exchange.received)}"
    if exchange.stderr:
        detail += f"; stderr {format_end(exchange.stderr)}"
    return Outcome(kind, reason, detail=detail)


def _outcome_by_rule(
    rule: ReplyRule, exchange: Exchange, text: str, groups: Mapping[str, str]
) -> Outcome:
    detail = describe_reply(exchange)
    if rule.outcome in REFUSING:
        if exchange.trailing_bytes:
            return _contradicted(exchange, detail)
        return Outcome(
            OutcomeKind.REFUSED, REFUSING[rule.outcome], leader=_leader(groups), detail=detail
        )
    if rule.outcome == "not_found":
        return Outcome(OutcomeKind.OK, found=False, detail=detail)
    if rule.outcome == "mismatch":
        return Outcome(OutcomeKind.OK, matched=False, value=groups.get("value"), detail=detail)
    if rule.outcome in ("ok", "value"):
        value = groups.get("value", text if rule.outcome == "value" else None)
        return Outcome(
            OutcomeKind.OK, value=value, found=None if value is None else True, detail=detail
        )
    return Outcome(OutcomeKind.UNKNOWN, Reason.UNCERTAIN, leader=_leader(groups), detail=detail)


def _contradicted(exchange: Exchange, detail: str) -> Outcome:
    """A refusal with trailing bytes is not certain. (An `ok` with trailing bytes stays an `ok`.)"""
    trailing = format_bytes(exchange.unsolicited[-exchange.trailing_bytes :])
    detail = f"{detail} reads like a refusal, but unsolicited bytes {trailing} followed it at once"
    return Outcome(OutcomeKind.UNKNOWN, Reason.UNRECOGNISED, detail=detail)


def _match(rule: ReplyRule, exchange: Exchange, text: str) -> dict[str, str] | None:
    """The named groups when every condition of the rule holds, else None."""
    if rule.outcome in REFUSING and _unconditional(rule):
        return None
    if rule.status and exchange.status not in rule.status:
        return None
    found: dict[str, str | None] = dict(exchange.extracted)
    for pattern, subject in _searches(rule, exchange, text):
        match = search(pattern, subject) if subject is not None else None
        if match is None:
            return None
        found.update(match.groupdict())
    as_json = found.pop("value_json", None)
    if as_json is not None:
        # Imported with the first such reply.
        from kvsim.client.json_path import find, read_json

        found["value"] = find(read_json(as_json), ())
        if found["value"] is None:
            return None
    if rule.outcome == "value" and "value" in found and found["value"] is None:
        # The protocol extracts the value, and this reply has none.
        return None
    return {name: value for name, value in found.items() if value is not None}


def _searches(rule: ReplyRule, exchange: Exchange, text: str) -> list[tuple[str, str | None]]:
    searches: list[tuple[str, str | None]] = []
    if rule.reply is not None:
        searches.append((rule.reply, text))
    if rule.stderr is not None:
        searches.append((rule.stderr, exchange.stderr.decode("utf-8", "surrogateescape")))
    if rule.headers:
        headers = {name.lower(): value for name, value in exchange.headers.items()}
        searches += [(pattern, headers.get(name.lower())) for name, pattern in rule.headers.items()]
    return searches


def _unconditional(rule: ReplyRule) -> bool:
    return rule.reply is None and rule.stderr is None and not rule.status and not rule.headers


def _leader(groups: Mapping[str, str]) -> str | None:
    name = next((name for name in LEADER_GROUPS if groups.get(name)), None)
    if name is None:
        return None
    if name == "leader_index0":
        return str(int(groups[name]) + 1) if groups[name].isdecimal() else None
    # A port is no id of a node: `:9001`.
    is_port = name == "leader_port" and groups[name].isdigit()
    return f":{groups[name]}" if is_port else groups[name]


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    """As Python reads it: `.` matches no line end, unless the pattern begins with `(?s)`."""
    return re.compile(pattern)


def rules_of(program: Program) -> Callable[[str], tuple[ReplyRule, ...]]:
    """A function from a verb to its rules. Raises UsageError for rules that cannot be used."""
    common = program.replies.get("any", ())
    for verb, rules in program.replies.items():
        problem = check_rules(rules)
        if problem:
            raise UsageError(f"program {program.name}: replies: {verb}: {problem}")
    table = {verb: (*rules, *common) for verb, rules in program.replies.items() if verb != "any"}
    return lambda verb: table.get(verb, common)
