"""Does an outcome meet an expectation? Pure; used while a scenario runs and again when its record is judged."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from kvsim.checks.verdict import Verdict
from kvsim.config.scenario import Expectation
from kvsim.history.outcome import Kind, Outcome, Reason

REPLY_SHOWN = 300


@dataclass(frozen=True)
class Miss:
    """An expectation that was not met, and what that makes of the step: `fail`, or `unknown` when nobody can tell."""

    why: str
    verdict: Verdict = Verdict.FAIL


@dataclass(frozen=True)
class Seen:
    """What a step saw on one node: the outcome, the reply as text, and the node that a named leader turned out to be."""

    outcome: Outcome
    reply: str = ""
    leader_named: str | None = None  # a node's name, or the address as it was written when no node has it
    leader_true: str | None = None


def judge(expect: Expectation, seen: Seen) -> Miss | None:
    """None when `seen` is what was expected."""
    why = JUDGES[expect.kind](expect, seen)
    if why is None:
        return None
    wanted_certainty = expect.kind != "unknown" and seen.outcome.kind is Kind.UNKNOWN
    return Miss(why, Verdict.UNKNOWN if wanted_certainty and _nobody_can_tell(seen.outcome) else Verdict.FAIL)


def _nobody_can_tell(outcome: Outcome) -> bool:
    return outcome.reason is not Reason.UNRECOGNISED


def _ok(expect: Expectation, seen: Seen) -> str | None:
    return None if seen.outcome.done else _got(seen)


def _value(expect: Expectation, seen: Seen) -> str | None:
    if seen.outcome.done and seen.outcome.value == expect.value:
        return None
    return _got(seen)


def _not_found(expect: Expectation, seen: Seen) -> str | None:
    return None if seen.outcome.kind is Kind.OK and seen.outcome.found is False else _got(seen)


def _mismatch(expect: Expectation, seen: Seen) -> str | None:
    return None if seen.outcome.kind is Kind.OK and seen.outcome.matched is False else _got(seen)


def _served(expect: Expectation, seen: Seen) -> str | None:
    return None if seen.outcome.kind is Kind.OK else _got(seen)


def _refused(expect: Expectation, seen: Seen) -> str | None:
    outcome = seen.outcome
    nobody_said_so = outcome.reason is Reason.UNREACHABLE and expect.reason != Reason.UNREACHABLE
    if outcome.kind is not Kind.REFUSED or nobody_said_so:
        return _got(seen)
    if expect.reason and outcome.reason != expect.reason:
        return f"{_got(seen)}, which is a refusal for another reason"
    return _names_leader(seen) if expect.names else None


def _names_leader(seen: Seen) -> str | None:
    if seen.leader_named is None:
        return f"{_got(seen)}, which does not name the leader"
    if seen.leader_named != seen.leader_true:
        return (
            f"{_got(seen)}, which names {seen.leader_named}; the leader is {seen.leader_true or 'not known'}"
        )
    return None


def _unknown(expect: Expectation, seen: Seen) -> str | None:
    return None if seen.outcome.kind is Kind.UNKNOWN else _got(seen)


def _unreachable(expect: Expectation, seen: Seen) -> str | None:
    return None if seen.outcome.reason is Reason.UNREACHABLE else _got(seen)


def _reply(expect: Expectation, seen: Seen) -> str | None:
    if re.search(expect.value or "", seen.reply):
        return None
    return f"got the reply {_short(seen.reply.rstrip())!r}" if seen.reply else _got(seen)


def _short(text: str) -> str:
    return text if len(text) <= REPLY_SHOWN else f"{text[:REPLY_SHOWN]}…"


def _any_of(expect: Expectation, seen: Seen) -> str | None:
    return None if any(judge(option, seen) is None for option in expect.options) else _got(seen)


JUDGES: dict[str, Callable[[Expectation, Seen], str | None]] = {
    "ok": _ok,
    "value": _value,
    "not_found": _not_found,
    "mismatch": _mismatch,
    "served": _served,
    "refused": _refused,
    "unknown": _unknown,
    "unreachable": _unreachable,
    "reply": _reply,
    "any_of": _any_of,
}


def _got(seen: Seen) -> str:
    return f"got {describe(seen.outcome)}"


def describe(outcome: Outcome) -> str:
    """An outcome in words: `ok`, `value 'x'`, `not found`, `mismatch`, `refused (read_only): ERR …`, `unknown (timeout): …`."""
    if outcome.kind is Kind.OK:
        if outcome.matched is False:
            return "mismatch" if outcome.value is None else f"mismatch, met {outcome.value!r}"
        if outcome.value is not None:
            return f"value {outcome.value!r}"
        return "not found" if outcome.found is False else "ok"
    return f"{outcome.kind} ({outcome.reason})" + (f": {outcome.detail}" if outcome.detail else "")


def in_words(expect: Expectation | None) -> str:
    """An expectation as the scenario's author would say it."""
    if expect is None:
        return ""
    if expect.kind == "any_of":
        return "any of " + ", ".join(in_words(option) for option in expect.options)
    if expect.kind in {"value", "reply"}:
        return f"{expect.kind} {expect.value!r}"
    reason = f" ({expect.reason})" if expect.reason else ""
    return f"{expect.kind}{reason}" + (f", naming the {expect.names}" if expect.names else "")
