"""Ending: signals, children left behind, and a start after a kill."""

from __future__ import annotations

import contextlib
import time

from kvsim.doctor.program_under_test import ProgramUnderTest, RunningProgram
from kvsim.doctor.raw_requests import open_connection
from kvsim.doctor.registry import Diagnosis, diagnostic, error, ok, warning
from kvsim.errors import NodeFailed
from kvsim.history.outcome import Outcome, OutcomeKind
from kvsim.process.child import signal_number
from kvsim.waiting import Deadline, TimedOut, wait_until

# A store that elects its leader serves some time after it has started.
ELECTION_WAIT_S = 5.0
VALUE = "stored"


@diagnostic("Does SIGTERM end it, how fast, and with which status?", order=60)
def stops_on_term(program: ProgramUnderTest) -> Diagnosis:
    return _end_by("TERM", program)


@diagnostic("Does SIGINT end it, how fast, and with which status?", order=70)
def stops_on_int(program: ProgramUnderTest) -> Diagnosis:
    return _end_by("INT", program)


def _end_by(signal: str, program: ProgramUnderTest) -> Diagnosis:
    """Send the signal to the node's own process, and wait as long as `stop:` gives it."""
    wait_s = sum(step.wait_s for step in program.spec.stop.steps)
    with program.start() as running:
        node, begin = running.node, time.monotonic()
        node.end_requested = True
        running.process.identity.signal(signal_number(signal))
        with contextlib.suppress(TimedOut):
            wait_until(lambda: not node.up, Deadline.after(wait_s), f"its end by {signal}")
        ended, took_s = running.process.poll(), time.monotonic() - begin
    if ended is None:
        return error(
            f"it still ran {wait_s:g}s after SIG{signal}",
            "every stop ends in a kill, which loses all that it had not written yet",
            f"handle SIG{signal}: close the listener, write what is left, exit with 0",
        )
    observation = f"it {ended.describe()} {took_s:.2f}s after SIG{signal}"
    stop = program.spec.stop
    status = ended.code if ended.signal is None else 128 + ended.signal
    # How a program without a handler ends.
    by_own_signal = stop.own_signal and ended.signal == signal_number(signal)
    clean = status in stop.exits_by[signal] if signal in stop.exits_by else by_own_signal
    stated = () if signal in stop.exits_by else stop.exits
    if clean or status in stated or signal != "TERM":
        return ok(observation)
    return warning(
        observation,
        "to a script that looks like a crash",
        f"handle SIG{signal} and exit with 0, or write `stop: {{exit: [{status}]}}` in node.yaml",
    )


@diagnostic("Has everything it started ended when it has ended?", order=80)
def leaves_no_children(program: ProgramUnderTest) -> Diagnosis:
    with program.start() as running:
        running.launcher.stop(running.node.name)
        left = [text for event in running.events_of("stopped") for text in event["leftovers"]]
    if left and program.spec.allow.children:
        return ok(f"it left {', '.join(left)}, as node.yaml allows")
    if left:
        return error(
            f"it left {', '.join(left)}",
            "the process left behind holds files, memory and perhaps the port",
            "end every child and wait for it before exiting, or write `allow: {children: true}` in "
            "node.yaml",
        )
    return ok("no process was left behind")


@diagnostic(
    "After a kill with a client connected, does it start again on its port with its data?",
    order=90,
    needs_answers=True,
)
def restarts_after_kill(program: ProgramUnderTest) -> Diagnosis:
    with program.start() as running, open_connection(running):
        stored = program.supports("put", "get") and _stores(running)
        name = running.node.name
        running.launcher.kill(name)
        try:
            running.launcher.start(name)
        except NodeFailed as raised:
            return error(
                str(raised),
                "a supervisor cannot start it again without waiting",
                "set SO_REUSEADDR before bind, and do not trust a lock file that a kill leaves",
            )
        if not stored:
            return ok("it started again on its port")
        read = _read_back(running)
    if read is None:
        return error(
            "it started again, and did not answer a get",
            "after a crash it is up and serves no client",
            "look at its log: what does it wait for?",
        )
    if read.value == VALUE:
        return ok("it started again on its port, with its data")
    if _may_lose(program):
        return ok("it started again on its port, without its data, as node.yaml says")
    return error(
        "it started again without a value it had acknowledged",
        "a kill loses an acknowledged write",
        "write to the file, and flush, before answering OK; or write `keeps: nothing` in node.yaml",
    )


def _may_lose(program: ProgramUnderTest) -> bool:
    """Whether node.yaml says that a kill may lose what was acknowledged."""
    spec = program.spec
    return spec.keeps == "nothing" or spec.guarantees.get("writes") == "acked_by_leader"


def _stores(running: RunningProgram) -> bool:
    response = running.ask("put", {"key": "doctor", "value": VALUE})
    return response.outcome.kind is OutcomeKind.OK


def _read_back(running: RunningProgram) -> Outcome | None:
    """The answer to a get, None when none came in time.

    Another value is final, unless a leader has to be elected.
    """
    elects = "elects" in running.node.program.capabilities
    last: list[Outcome] = []

    def is_final() -> bool:
        if elects:
            running.examine_leader()
        outcome = running.ask("get", {"key": "doctor"}).outcome
        if outcome.kind is OutcomeKind.OK:
            last.append(outcome)
        return outcome.value == VALUE or (bool(last) and not elects)

    with contextlib.suppress(TimedOut):
        wait_until(is_final, Deadline.after(ELECTION_WAIT_S), "an answer")
    return last[-1] if last else None
