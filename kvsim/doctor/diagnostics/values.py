"""Values: large, with spaces, not UTF-8. Each is put and read back."""

from __future__ import annotations

from kvsim.client.exchange import Response
from kvsim.doctor.program_under_test import ProgramUnderTest, RunningProgram
from kvsim.doctor.raw_requests import end_of, why_not_serving
from kvsim.doctor.registry import Diagnosis, diagnostic, error, ok, skipped, warning
from kvsim.errors import UsageError
from kvsim.history.outcome import OutcomeKind, Reason
from kvsim.text import plural, truncate

VALUE_TIMEOUT_S = 10.0
LARGE_BYTES = 1_000_000
SHOWN_MAX = 40
# What a decoder writes for bytes that are not text.
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


@diagnostic(
    "Does it take a value of 1 MB, or refuse it with a message?", order=150, needs_answers=True
)
def large_value(program: ProgramUnderTest) -> Diagnosis:
    return _put_and_get(program, "v" * LARGE_BYTES, "a value of 1 MB")


@diagnostic("Does a value with spaces come back unchanged?", order=160, needs_answers=True)
def value_with_spaces(program: ProgramUnderTest) -> Diagnosis:
    return _put_and_get(program, "two  words, and a third ", "a value with spaces")


@diagnostic(
    "Does a value that is not UTF-8 come back unchanged, or is it refused?",
    order=170,
    needs_answers=True,
)
def value_not_utf8(program: ProgramUnderTest) -> Diagnosis:
    value = b"caf\xe9\xff\xfe".decode("utf-8", "surrogateescape")
    return _put_and_get(program, value, "a value that is not UTF-8")


def _put_and_get(program: ProgramUnderTest, value: str, name: str) -> Diagnosis:
    """Whether one value, called `name` in messages, is stored unchanged or refused."""
    if not program.supports("put", "get"):
        return skipped("node.yaml has no `put` and `get` in `requests`")
    with program.start() as running:
        try:
            put = running.ask("put", {"key": "doctor", "value": value}, VALUE_TIMEOUT_S)
        except UsageError as raised:
            # Unsendable: a limit of kvsim, not of the store.
            return skipped(str(raised))
        trouble = why_not_serving(running)
        if trouble:
            meaning = "one client's value stops it for all clients"
            return error(f"after {name}, {trouble}", meaning, REFUSE, trouble.crash)
        return _diagnose(running, put, value, name)


def _diagnose(running: RunningProgram, put: Response, value: str, name: str) -> Diagnosis:
    outcome = put.outcome
    if outcome.kind is OutcomeKind.REFUSED and outcome.reason is not Reason.UNREACHABLE:
        return ok(f"{name} is refused with a message: {truncate(outcome.detail, 80)}")
    if outcome.reason in HANGS_UP and _is_absent(running):
        observation = f"{name} is refused without a message: {truncate(outcome.detail, 160)}"
        return warning(observation, "its client cannot know what was wrong with it", REFUSE)
    if outcome.kind is not OutcomeKind.OK:
        meaning = "its client cannot know whether the value is stored"
        return error(f"a put of {name} got {truncate(outcome.detail, 200)}", meaning, REFUSE)
    get = running.ask("get", {"key": "doctor"}, VALUE_TIMEOUT_S).outcome
    if get.kind is not OutcomeKind.OK:
        trouble = end_of(running)
        text = str(trouble or f"a get of it got {truncate(get.detail, 200)}")
        meaning = "a value that was accepted cannot be read"
        crash = trouble.crash if trouble else ""
        return error(f"{name} was accepted; then {text}", meaning, REFUSE, crash)
    if get.value != value:
        meaning, fix = _how_changed(value, get.value)
        return error(f"{name} came back as {_shown(get.value)}", meaning, fix)
    return ok(f"{name} came back unchanged")


def _is_absent(running: RunningProgram) -> bool:
    """Whether the node serves on, and has nothing of the value."""
    get = running.ask("get", {"key": "doctor"}, VALUE_TIMEOUT_S).outcome
    return get.kind is OutcomeKind.OK and get.found is False


HANGS_UP = frozenset({Reason.CLOSED, Reason.RESET})
REFUSE = "read until the request is whole; refuse what the store cannot keep, with a message"
UNCHANGED = "keep the bytes of a value as they are, or refuse it with a message"


def _how_changed(sent: str, read: str | None) -> tuple[str, str]:
    """The meaning of another value than the one that was sent, and the fix."""
    if not read:
        return "nothing is stored, though it was acknowledged", UNCHANGED
    if read.split() == sent.split():
        return "white space in it is changed", UNCHANGED
    if sent.startswith(read) and sent[len(read)] == " ":
        fix = "take the rest of the line for the value, or send its length"
        return "it is cut at a space", fix
    if sent.startswith(read):
        fix = "read until the request is whole, and refuse what is too long with a message"
        return f"it is cut after {plural(len(read), 'character')}", fix
    if REPLACEMENT in read:
        return "bytes were decoded as text and not encoded back", UNCHANGED
    return "another value is stored than was sent", UNCHANGED


def _shown(value: str | None) -> str:
    if value is None:
        return "nothing"
    hidden = f"… ({len(value)} characters)" if len(value) > SHOWN_MAX else ""
    return f"{value[:SHOWN_MAX]!r}{hidden}"
