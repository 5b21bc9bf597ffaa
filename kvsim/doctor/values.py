"""Put a value and get it back: the same, a refusal in words, or something to be mended. Shared by the examinations of values."""

from __future__ import annotations

from kvsim.client.exchange import Answer
from kvsim.doctor.finding import Finding, ill, not_looked, well
from kvsim.doctor.patient import Patient, Ward
from kvsim.doctor.wire import still_serves
from kvsim.errors import UsageError
from kvsim.history.outcome import Kind, Reason

VALUE_TIMEOUT_S = 10.0


def keeps(patient: Patient, value: str, what: str, meaning: str, cure: str) -> Finding:
    """What becomes of one value."""
    if not patient.can("put", "get"):
        return not_looked("node.yaml has no `put` and `get` in `requests`")
    with patient.ward() as ward:
        try:
            put = ward.ask("put", VALUE_TIMEOUT_S, key="doctor", value=value)
        except UsageError as error:  # Unsendable: kvsim's own limit, not the store's
            return not_looked(str(error))
        trouble = still_serves(ward)
        if trouble:
            return ill(f"after {what}, {trouble}", meaning, cure)
        return _judge(ward, put, value, what, meaning, cure)


def _judge(ward: Ward, put: Answer, value: str, what: str, meaning: str, cure: str) -> Finding:
    outcome = put.outcome
    if outcome.kind is Kind.REFUSED and outcome.reason is not Reason.UNREACHABLE:
        return well(f"{what} is refused in words: {outcome.detail[:80]}")
    if outcome.kind is not Kind.OK:
        return ill(f"a put of {what} got {outcome.detail[:200]}", meaning, cure)
    got = ward.ask("get", VALUE_TIMEOUT_S, key="doctor").outcome
    if got.value != value:
        return ill(f"{what} came back as {_shown(got.value)}", meaning, cure)
    return well(f"{what} came back as it was")


def _shown(value: str | None) -> str:
    if value is None:
        return "nothing"
    return f"{value[:40]!r}" + (f"… ({len(value)} characters)" if len(value) > 40 else "")
