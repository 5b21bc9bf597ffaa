"""Does an outcome meet a step's expectation? Used while a scenario runs, and again on its record.

Pure.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from kvsim.checks.verdict import Verdict
from kvsim.config.scenario import Expectation
from kvsim.history.outcome import Outcome, OutcomeKind, Reason
from kvsim.patterns import search
from kvsim.text import truncate

REPLY_LENGTH_MAX = 300


class Miss(Struct, frozen=True):
    """An expectation that was not met, and the verdict on the step: `fail`, or `unknown`."""

    why: str
    verdict: Verdict = Verdict.FAIL


class ObservedReply(Struct, frozen=True):
    """What a step observed on one node: the outcome, and the reply as text.

    `leader_named` is the node that the reply names as the leader, or the address in it when no
    node has that address. `leader_true` is the node that was the leader, None when it is unknown.
    """

    outcome: Outcome
    reply: str = ""
    leader_named: str | None = None
    leader_true: str | None = None


def check_expectation(expectation: Expectation, observed: ObservedReply) -> Miss | None:
    """None when the expectation is met."""
    why = CHECKS[expectation.kind](expectation, observed)
    if why is None:
        return None
    outcome = observed.outcome
    # A reply that node.yaml does not recognise is an answer, and certainly not the expected one.
    unanswered = outcome.kind is OutcomeKind.UNKNOWN and outcome.reason is not Reason.UNRECOGNISED
    undecided = unanswered and expectation.kind != "unknown"
    return Miss(why, Verdict.UNKNOWN if undecided else Verdict.FAIL)


def _ok(expectation: Expectation, observed: ObservedReply) -> str | None:
    return None if observed.outcome.done else _got(observed)


def _value(expectation: Expectation, observed: ObservedReply) -> str | None:
    outcome = observed.outcome
    return None if outcome.done and outcome.value == expectation.value else _got(observed)


def _not_found(expectation: Expectation, observed: ObservedReply) -> str | None:
    outcome = observed.outcome
    met = outcome.kind is OutcomeKind.OK and outcome.found is False
    return None if met else _got(observed)


def _mismatch(expectation: Expectation, observed: ObservedReply) -> str | None:
    outcome = observed.outcome
    met = outcome.kind is OutcomeKind.OK and outcome.matched is False
    return None if met else _got(observed)


def _served(expectation: Expectation, observed: ObservedReply) -> str | None:
    return None if observed.outcome.kind is OutcomeKind.OK else _got(observed)


def _refused(expectation: Expectation, observed: ObservedReply) -> str | None:
    outcome = observed.outcome
    # No node was there to refuse anything, unless that is what is expected.
    unreachable = outcome.reason is Reason.UNREACHABLE and expectation.reason != Reason.UNREACHABLE
    if outcome.kind is not OutcomeKind.REFUSED or unreachable:
        return _got(observed)
    if expectation.reason and outcome.reason != expectation.reason:
        return f"{_got(observed)}, which is a refusal for another reason"
    return _names_leader(observed) if expectation.names else None


def _names_leader(observed: ObservedReply) -> str | None:
    named, leader = observed.leader_named, observed.leader_true
    if named is None:
        return f"{_got(observed)}, which does not name the leader"
    if named != leader:
        return f"{_got(observed)}, which names {named}; the leader is {leader or 'not known'}"
    return None


def _unknown(expectation: Expectation, observed: ObservedReply) -> str | None:
    return None if observed.outcome.kind is OutcomeKind.UNKNOWN else _got(observed)


def _unreachable(expectation: Expectation, observed: ObservedReply) -> str | None:
    return None if observed.outcome.reason is Reason.UNREACHABLE else _got(observed)


def _reply(expectation: Expectation, observed: ObservedReply) -> str | None:
    if search(expectation.value or "", observed.reply):
        return None
    if not observed.reply:
        return _got(observed)
    return f"got the reply {truncate(observed.reply.rstrip(), REPLY_LENGTH_MAX)!r}"


def _any_of(expectation: Expectation, observed: ObservedReply) -> str | None:
    met = any(check_expectation(option, observed) is None for option in expectation.options)
    return None if met else _got(observed)


# Kind of expectation → why the observed reply does not meet it, None when it does.
CHECKS: dict[str, Callable[[Expectation, ObservedReply], str | None]] = {
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


def _got(observed: ObservedReply) -> str:
    return f"got {describe(observed.outcome)}"


def describe(outcome: Outcome) -> str:
    """An outcome as text: `ok`, `value 'x'`, `not found`, `refused (read_only): ERR …`."""
    if outcome.kind is OutcomeKind.OK:
        if outcome.matched is False:
            return "mismatch" if outcome.value is None else f"mismatch, met {outcome.value!r}"
        if outcome.value is not None:
            return f"value {outcome.value!r}"
        return "not found" if outcome.found is False else "ok"
    return f"{outcome.kind} ({outcome.reason})" + (f": {outcome.detail}" if outcome.detail else "")


def describe_expectation(expectation: Expectation | None) -> str:
    """An expectation as text: `ok`, `value 'x'`, `refused (read_only), naming the leader`.

    Empty for None.
    """
    if expectation is None:
        return ""
    if expectation.kind == "any_of":
        return "any of " + ", ".join(describe_expectation(option) for option in expectation.options)
    if expectation.kind in {"value", "reply"}:
        return f"{expectation.kind} {expectation.value!r}"
    reason = f" ({expectation.reason})" if expectation.reason else ""
    names = f", naming the {expectation.names}" if expectation.names else ""
    return f"{expectation.kind}{reason}{names}"
