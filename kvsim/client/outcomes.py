"""What an exchange means: the program's outcome rules applied to a reply. Pure; knows no socket, no verb and
no node.

A refusal is a strong claim (it certainly did not happen), so it is never made by default: a reply that no
rule matches is unknown and shown byte by byte, and so is one that the node followed with bytes nobody had
asked for.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Mapping, Sequence
from functools import lru_cache

from kvsim.client.exchange import Exchange
from kvsim.config.program import REFUSING, Rule
from kvsim.history.outcome import Kind, Outcome, Reason

SHOWN_BYTES_MAX = 200

FAILURES: dict[str, tuple[Kind, Reason]] = {
    "unreachable": (Kind.REFUSED, Reason.UNREACHABLE),
    "timeout": (Kind.UNKNOWN, Reason.TIMEOUT),
    "reset": (Kind.UNKNOWN, Reason.RESET),
    "closed": (Kind.UNKNOWN, Reason.CLOSED),
    "oversize": (Kind.UNKNOWN, Reason.UNRECOGNISED),
    "malformed": (Kind.UNKNOWN, Reason.UNRECOGNISED),
}
LEADER_GROUPS = ("leader_addr", "leader_url", "leader_port", "leader_id")  # the most telling one first


def classify(rules: Sequence[Rule], exchange: Exchange) -> tuple[Outcome, dict[str, str]]:
    """The outcome of `exchange` under `rules` (first match wins) and the named groups of the rule that
    matched.
    """
    if exchange.failure is not None:
        return _failed(exchange), {}
    text = exchange.text
    for rule in rules:
        groups = _match(rule, exchange, text)
        if groups is not None:
            return _judged(rule, exchange, text, groups), groups
    said = (
        "no reply rule matches"
        if rules
        else "the program has no reply rules for this verb, so nothing is known of"
    )
    return Outcome(Kind.UNKNOWN, Reason.UNRECOGNISED, detail=f"{said} {describe(exchange)}"), {}


def show(data: bytes, limit: int = SHOWN_BYTES_MAX) -> str:
    """Bytes as printable text, `b'…'`; longer ones are cut and say how long they are."""
    return repr(data) if len(data) <= limit else f"{data[:limit]!r}… ({len(data)} bytes)"


def describe(exchange: Exchange) -> str:
    """The reply in one printable line, with exit or HTTP status and stderr where there are any."""
    parts = [show(exchange.received if exchange.reply is None else exchange.reply)]
    if exchange.status is not None:
        parts.append(f"status {status_words(exchange.status)}")
    if exchange.stderr:
        parts.append(f"stderr {show(exchange.stderr)}")
    return ", ".join(parts)


def status_words(status: int) -> str:
    """A status for people: a negative one is the signal that ended the process."""
    if status >= 0:
        return str(status)
    names = {member.value: member.name for member in signal.Signals}
    return f"{status} ({names.get(-status, 'an unknown signal')})"


def check_rules(rules: Sequence[Rule]) -> str | None:
    """What is wrong with these rules, or None: a pattern that is no regular expression, a refusal without a
    condition.
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


def _failed(exchange: Exchange) -> Outcome:
    kind, reason = FAILURES.get(exchange.failure or "", (Kind.UNKNOWN, Reason.UNRECOGNISED))
    if (
        reason is Reason.UNREACHABLE and exchange.sent
    ):  # something left: then nobody can say that it did not happen
        kind, reason = Kind.UNKNOWN, Reason.RESET
    detail = exchange.problem or str(exchange.failure)
    if exchange.received:
        detail += f"; received {show(exchange.received)}"
    if exchange.stderr:
        detail += f"; stderr {show(exchange.stderr)}"
    return Outcome(kind, reason, detail=detail)


def _judged(rule: Rule, exchange: Exchange, text: str, groups: Mapping[str, str]) -> Outcome:
    detail = describe(exchange)
    if rule.outcome in REFUSING:
        if exchange.surplus:
            return _contradicted(exchange, detail)
        return Outcome(Kind.REFUSED, REFUSING[rule.outcome], leader=_leader(groups), detail=detail)
    if rule.outcome == "not_found":
        return Outcome(Kind.OK, found=False, detail=detail)
    if rule.outcome == "mismatch":
        return Outcome(Kind.OK, matched=False, value=groups.get("value"), detail=detail)
    if rule.outcome in ("ok", "value"):
        value = groups.get("value", text if rule.outcome == "value" else None)
        return Outcome(Kind.OK, value=value, found=None if value is None else True, detail=detail)
    return Outcome(Kind.UNKNOWN, Reason.UNCERTAIN, leader=_leader(groups), detail=detail)


def _contradicted(exchange: Exchange, detail: str) -> Outcome:
    """An `ok` with more behind it stays the node's word, to which it is held; a refusal with more behind it
    is not certain.
    """
    behind = exchange.unsolicited[-exchange.surplus :]
    detail = f"{detail} reads like a refusal, but {show(behind)} came right behind it, unasked"
    return Outcome(Kind.UNKNOWN, Reason.UNRECOGNISED, detail=detail)


def _match(rule: Rule, exchange: Exchange, text: str) -> dict[str, str] | None:
    """The named groups when every condition of the rule holds, else None."""
    if rule.outcome in REFUSING and _unconditional(rule):
        return None
    if rule.status and exchange.status not in rule.status:
        return None
    found: dict[str, str | None] = dict(exchange.extracted)
    for pattern, subject in _searches(rule, exchange, text):
        match = _compiled(pattern).search(subject) if subject is not None else None
        if match is None:
            return None
        found.update(match.groupdict())
    if rule.outcome == "value" and "value" in found and found["value"] is None:
        return None  # a value was looked for and is not there
    return {name: value for name, value in found.items() if value is not None}


def _searches(rule: Rule, exchange: Exchange, text: str) -> list[tuple[str, str | None]]:
    searches: list[tuple[str, str | None]] = []
    if rule.reply is not None:
        searches.append((rule.reply, text))
    if rule.stderr is not None:
        searches.append((rule.stderr, exchange.stderr.decode("utf-8", "surrogateescape")))
    if rule.headers:
        headers = {name.lower(): value for name, value in exchange.headers.items()}
        searches += [(pattern, headers.get(name.lower())) for name, pattern in rule.headers.items()]
    return searches


def _unconditional(rule: Rule) -> bool:
    return rule.reply is None and rule.stderr is None and not rule.status and not rule.headers


def _leader(groups: Mapping[str, str]) -> str | None:
    return next((groups[name] for name in LEADER_GROUPS if groups.get(name)), None)


@lru_cache(maxsize=512)
def _compiled(pattern: str) -> re.Pattern[str]:
    """`.` matches line ends too: a pattern must never silently cut a value that holds one."""
    return re.compile(pattern, re.DOTALL)
