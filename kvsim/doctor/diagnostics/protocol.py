"""Clients and TCP: plain, partial, split and pipelined requests; clients that disconnect or are
silent.
"""

from __future__ import annotations

import contextlib
import time

from kvsim.client.codec import Codec
from kvsim.doctor.program_under_test import ProgramUnderTest, RunningProgram
from kvsim.doctor.raw_requests import (
    NoReply,
    Trouble,
    codec_of,
    encode,
    end_of,
    has_trailing_bytes,
    is_answer,
    open_connection,
    outcome_of,
    read_replies,
    reset,
    stream_of,
    why_no_codec,
    why_not_serving,
)
from kvsim.doctor.registry import Diagnosis, diagnostic, error, ok, skipped, warning
from kvsim.history.outcome import Outcome, OutcomeKind
from kvsim.text import truncate
from kvsim.waiting import Deadline, TimedOut, wait_until

BYTE_PAUSE_S = 0.002
CLIENTS, REQUESTS = 10, 50
# Keys and the values that are put there, where the program has a `put`.
KEYS = {"doctor-1": "first", "doctor-2": "second"}
SHOWN_MAX = 200


@diagnostic("Does it answer a plain put and get, as node.yaml describes the answers?", order=5)
def answers_requests(program: ProgramUnderTest) -> Diagnosis:
    if not program.supports("get"):
        return skipped("node.yaml has no `get` in `requests`")
    with program.start() as running:
        if program.supports("put"):
            put = _plain_request(running, "put")
            if put.kind is not OutcomeKind.OK:
                return _not_answered(running, "put", put)
        get = _plain_request(running, "get")
        if get.kind is not OutcomeKind.OK:
            return _one_client_only(running, get) or _not_answered(running, "get", get)
    if program.supports("put") and get.value != "plain":
        return error(
            f"a put of 'plain' was answered ok, and a get then showed {get.value!r}",
            "either the store does not keep what it acknowledges, or node.yaml misreads a reply",
            "send both requests by hand, and compare the replies with `replies:` in node.yaml",
        )
    return ok("both were answered" if program.supports("put") else "a get was answered")


def _plain_request(running: RunningProgram, verb: str) -> Outcome:
    """Sent until it is answered or time is over: a leader may have to be elected."""
    fields = {"key": "doctor-0", "value": "plain"} if verb == "put" else {"key": "doctor-0"}
    last: list[Outcome] = []

    def is_done() -> bool:
        last.append(running.ask(verb, fields).outcome)
        return last[-1].kind is OutcomeKind.OK or not running.node.up

    with contextlib.suppress(TimedOut):
        wait_until(is_done, Deadline.after(running.timeout_s), "an answer")
    return last[-1]


def _one_client_only(running: RunningProgram, get: Outcome) -> Diagnosis | None:
    """For a program that answered one put, and now answers a put no more than a get."""
    if "put" not in running.node.program.requests or not running.node.up:
        return None
    if _plain_request(running, "put").kind is OutcomeKind.OK or not running.node.up:
        return None
    return error(
        "it answered one client, and no client after it: a get got "
        f"{truncate(get.detail or str(get.reason), SHOWN_MAX)}",
        "once its first client has gone, it serves no other",
        "accept connections in a loop, and keep the listener open when a client leaves",
    )


def _not_answered(running: RunningProgram, verb: str, outcome: Outcome) -> Diagnosis:
    trouble = end_of(running)
    if trouble is not None:
        return error(
            f"after a plain {verb}, {trouble}",
            f"a {verb} ends it, so that nothing else can be examined",
            "find out what ends it: its last lines are above",
            trouble.crash,
        )
    what = "was refused" if outcome.kind is OutcomeKind.REFUSED else "got no answer that is known"
    return error(
        f"a plain {verb} {what}: {truncate(outcome.detail or str(outcome.reason), SHOWN_MAX)}",
        "the diagnostics that need answers would prove nothing",
        f"send a {verb} by hand; then compare `requests` and `replies` in node.yaml with it",
    )


@diagnostic(
    "Does it survive a client that sends half of a request and disconnects?",
    order=100,
    needs_answers=True,
)
def partial_request(program: ProgramUnderTest) -> Diagnosis:
    with program.start() as running:
        data, verb = b"half", "get"
        if program.supports("put"):
            # A put that is made of several requests has no bytes of its own.
            verb = "put" if codec_of(running, "put") else "get"
            data = encode(codec_of(running, verb), verb, key="doctor", value="half")
        with open_connection(running, verb) as connection:
            connection.sendall(data[: max(1, len(data) // 2)])
        trouble = why_not_serving(running, later=True)
    if trouble:
        return error(
            f"after half of a request, {trouble}",
            "any client that disconnects early can stop it",
            "treat end of file inside a request as the end of that connection only",
            trouble.crash,
        )
    return ok("it still serves")


@diagnostic(
    "Does it survive clients that disconnect before the reply?", order=110, needs_answers=True
)
def disconnecting_clients(program: ProgramUnderTest) -> Diagnosis:
    with program.start() as running:
        supported = program.supports("get")
        data = encode(codec_of(running), "get", key="doctor") if supported else b"gone"
        # The program may end before the last client; `why_not_serving` finds the cause.
        with contextlib.suppress(NoReply, OSError):
            for number in range(CLIENTS):
                with open_connection(running) as connection:
                    connection.sendall(data * REQUESTS)
                    # In turn: a reset, and an orderly close that the replies arrive after.
                    if number % 2:
                        reset(connection)
        trouble = why_not_serving(running, later=True)
    if trouble:
        return _after_disconnects(trouble)
    return ok("it still serves")


def _after_disconnects(trouble: Trouble) -> Diagnosis:
    observation = f"after {CLIENTS} clients that disconnected, {trouble}"
    if "SIGPIPE" in trouble.crash:
        return error(
            observation,
            "writing to a closed socket raises SIGPIPE, which ends a program that does not "
            "ignore it",
            "ignore SIGPIPE, or send with MSG_NOSIGNAL, and treat an error of write as the end of "
            "that connection",
            trouble.crash,
        )
    return error(
        observation,
        "any client that does not wait for its reply can stop it",
        "treat an error of read or write as the end of that connection only",
        trouble.crash,
    )


@diagnostic(
    "Does a client that is connected and silent keep others waiting?",
    order=120,
    needs_answers=True,
)
def idle_client(program: ProgramUnderTest) -> Diagnosis:
    with program.start() as running, open_connection(running):
        trouble = why_not_serving(running)
    if trouble and trouble.crash:
        return error(
            f"beside a silent client, {trouble}",
            "two clients at the same time end it",
            "find out what ends it: its last lines are above",
            trouble.crash,
        )
    if trouble:
        return warning(
            f"beside a silent client, {trouble}",
            "it serves one client at a time, so one that only connects stops all others",
            "serve each connection in its own thread, or use poll",
        )
    return ok("others are served beside it")


@diagnostic(
    "Does it answer two requests that arrive in one packet, in their order?",
    order=130,
    needs_answers=True,
)
def pipelined_requests(program: ProgramUnderTest) -> Diagnosis:
    with program.start() as running:
        codec = codec_of(running)
        if codec is None or not program.supports("get"):
            return skipped(why_no_codec(running))
        client = stream_of(running, "get")
        if client is not None and not client.persistent:
            return skipped("each request has a connection of its own, as node.yaml says")
        expected = _put_keys(running)
        data = b"".join(encode(codec, "get", key=key) for key in KEYS)
        with open_connection(running) as connection:
            connection.sendall(data)
            try:
                replies = read_replies(connection, codec, ("get", "get"), running.timeout_s)
            except NoReply as raised:
                return _lost_a_request(running, raised)
        outcomes = [outcome_of(running, "get", reply) for reply in replies]
    return _compare("two requests in one packet", outcomes, expected)


def _lost_a_request(running: RunningProgram, raised: NoReply) -> Diagnosis:
    trouble = end_of(running)
    if trouble:
        return error(
            f"after two requests in one packet, {trouble}",
            "TCP joins what is sent quickly: a fast client can stop it",
            "keep what is left in the read buffer, and look there for the next request",
            trouble.crash,
        )
    return warning(
        f"two requests in one packet: {raised}",
        "TCP joins what is sent quickly: a fast client loses requests",
        "keep what is left in the read buffer, and look there for the next request before reading "
        "more",
    )


def _put_keys(running: RunningProgram) -> list[str | None]:
    """The values that the keys hold afterwards; None for each where nothing can be put."""
    if "put" not in running.node.program.requests:
        return [None] * len(KEYS)
    for key, value in KEYS.items():
        outcome = running.ask("put", {"key": key, "value": value}).outcome
        if outcome.kind is not OutcomeKind.OK:
            raise NoReply(f"a put was not accepted: {outcome.detail or outcome.reason}")
    return list(KEYS.values())


def _compare(what: str, outcomes: list[Outcome], expected: list[str | None]) -> Diagnosis:
    """Whether the replies to raw gets are those to whole requests, in their order."""
    bad = [outcome for outcome in outcomes if outcome.kind is not OutcomeKind.OK]
    if bad:
        return error(
            f"{what}: {truncate(bad[0].detail, SHOWN_MAX)}",
            "TCP joins and splits what is sent: on another network it fails at random",
            "read until the request is whole, and keep what follows it for the next one",
        )
    found = [outcome.value for outcome in outcomes]
    if found != expected:
        swapped = sorted(map(str, found)) == sorted(map(str, expected))
        wrong = "in the wrong order" if swapped else "wrongly"
        return error(
            f"{what} were answered {wrong}: {found} instead of {expected}",
            "a client takes the answer to one request for the answer to another",
            "answer the requests of a connection one after another, in the order they came",
        )
    return ok("both were answered" if len(outcomes) > 1 else "it was answered as a whole")


@diagnostic(
    "Does it understand a request that arrives one byte at a time?", order=140, needs_answers=True
)
def split_request(program: ProgramUnderTest) -> Diagnosis:
    with program.start() as running:
        codec = codec_of(running)
        if codec is None or not program.supports("get"):
            return skipped(why_no_codec(running))
        expected = _put_keys(running)
        try:
            outcome = _ask_byte_by_byte(running, codec)
        except (NoReply, OSError) as raised:
            trouble = end_of(running)
            return error(
                f"a request in single bytes: {trouble or raised}",
                "TCP may split a request anywhere: on a slow network it fails at random",
                "read until the request is whole",
                trouble.crash if trouble else "",
            )
        afterwards = running.ask("get", {"key": "doctor-1"}).outcome
    if not is_answer(afterwards):
        return error(
            f"afterwards, a whole request got {afterwards.detail}",
            "parts of a request were taken for requests",
            "read until the request is whole",
        )
    return _compare("a request in single bytes", [outcome], expected[:1])


def _ask_byte_by_byte(running: RunningProgram, codec: Codec) -> Outcome:
    """The outcome of a get of the first key. Raises NoReply, OSError."""
    with open_connection(running) as connection:
        for byte in encode(codec, "get", key="doctor-1"):
            connection.sendall(bytes([byte]))
            time.sleep(BYTE_PAUSE_S)
        (reply,) = read_replies(connection, codec, ("get",), running.timeout_s)
        if has_trailing_bytes(connection, reply):
            raise NoReply("one request got several replies")
    return outcome_of(running, "get", reply)
