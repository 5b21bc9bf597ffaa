"""What is measured of a node from start to end: exit status, log, what a stop and a kill keep."""

from __future__ import annotations

import re
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from kvsim.doctor.discovery.draft import Draft
from kvsim.doctor.discovery.probe import StartedDraft, start_again, started
from kvsim.doctor.discovery.protocol import KEY, LEADER, SECOND_VALUE, VALUE
from kvsim.doctor.discovery.reply_rules import escape
from kvsim.errors import NodeFailed
from kvsim.process.child import signal_name, signal_number
from kvsim.timeouts import Timeouts

LOG_LINES = 50
TERM_STATUS = 128 + signal_number("TERM")
# A log line up to its time differs from start to start.
LINE_TIME = re.compile(r"\d\d:\d\d:\d\d(?:[.,]\d+)?\S*\s+(?:\W\s+)?")
PATH = re.compile(r"/[\w.-]+/[\w./-]+")
# Stands for a path while the rest of a line is escaped.
PATH_MARK = "\ue010"
SERVING_WORDS = re.compile(
    r"\b(?:listen\w*|ready|serving|serves|accept\w*|started|running|bound|up|online)\b",
    re.IGNORECASE,
)
FAILING_WORDS = re.compile(r"exception|error|traceback|fail|warn", re.IGNORECASE)


class ObservedLog(Struct, frozen=True):
    """Lines of the log: while the node served, and after it had ended."""

    serving: tuple[str, ...]
    ended: tuple[str, ...]


def measure_restart(draft: Draft, probe: StartedDraft) -> tuple[Draft, ObservedLog]:
    """Stop it, start it, kill it, start it; the node serves on afterwards where it comes back."""
    launcher, node = probe.running.launcher, probe.running.launcher.nodes[LEADER]
    probe.ask(draft, LEADER, "put", KEY, VALUE)
    serving = tuple(probe.log_lines(LEADER, LOG_LINES))
    launcher.stop(LEADER)
    observed = ObservedLog(serving, tuple(probe.log_lines(LEADER, LOG_LINES)))
    draft = _with_exits(draft, probe)
    if not start_again(probe, LEADER):
        return draft.remark("it did not start again on its port after a stop"), observed
    after_stop = _read(probe, draft)
    kept_by_stop = VALUE in (after_stop or "")
    probe.ask(draft, LEADER, "put", KEY, SECOND_VALUE)
    if not node.up:
        return draft.remark("it ended when a key was put after a restart"), observed
    launcher.kill(LEADER)
    if not start_again(probe, LEADER):
        problem = "it did not start again on its port after a kill (kvsim doctor says more)"
        return draft.remark(problem), observed
    after_kill = _read(probe, draft)
    if SECOND_VALUE in (after_kill or ""):
        return draft.with_capability("restart"), observed
    if kept_by_stop:
        draft = draft.remark(
            "it keeps its data over a stop and loses an acknowledged write in a kill: write each "
            "one to its file, and flush, before the answer"
        )
    elif after_stop is not None and after_kill is not None:
        draft = _keeping_nothing(draft)
    return draft, observed


def _keeping_nothing(draft: Draft) -> Draft:
    draft = replace(draft, keeps_nothing=True)
    if not any("{data_dir}" in word for word in draft.form.words):
        return draft
    question = (
        "it takes a data directory, and after a stop its data were gone: is it meant to keep them? "
        "then write `keeps: data`"
    )
    return draft.ask_author("keeps", question)


def _read(probe: StartedDraft, draft: Draft) -> str | None:
    """What it shows of the key; None when it did not answer."""
    read = probe.ask(draft, LEADER, "get", KEY)
    return None if read is None or read.failure else read.text


def _with_exits(draft: Draft, probe: StartedDraft) -> Draft:
    """The exit status that a stop had, and what the author should know of it."""
    process = probe.running.launcher.nodes[LEADER].process
    stops = [fields for kind, fields in probe.running.events if kind == "stopped"]
    if stops and stops[-1].get("killed"):
        return draft.remark("it did not end on SIGTERM in time, and was killed")
    status = process.poll() if process is not None else None
    if status is None:
        return draft
    if status.signal is not None:
        exits = (0, 128 + status.signal)
        if exits[1] != TERM_STATUS:
            draft = draft.remark(f"it died by {signal_name(status.signal)} when it was stopped")
        return replace(draft, exits=exits)
    if status.code == TERM_STATUS:
        # A virtual machine that ends by the signal and reports it as a shell does.
        return replace(draft, exits=(0, TERM_STATUS))
    if status.code:
        question = f"it ended with status {status.code}: is that a clean end?"
        draft = draft.ask_author("stop", question)
        return replace(draft, exits=tuple(sorted({0, status.code})))
    return draft


def learn_log(
    draft: Draft, observed: ObservedLog, port: int, folder: Path, timeouts: Timeouts
) -> Draft:
    """The line that says that it serves, and how its log has to be caught."""
    line = _ready_line(observed.serving, port)
    if line:
        return replace(draft, ready_log=line)
    if observed.serving:
        return draft.remark("it logs no line that says that it serves")
    for mode in ("linebuf", "pty"):
        buffered = replace(draft, log_mode=mode)
        try:
            with started(buffered, folder, timeouts) as probe:
                probe.ask(draft, LEADER, "get", KEY)
                lines = tuple(probe.log_lines(LEADER, LOG_LINES))
                line = _ready_line(lines, probe.port(LEADER))
        except NodeFailed:
            continue
        if lines:
            late = (
                "nothing of its log arrived until it ended"
                if observed.ended
                else ("nothing of its log arrived")
            )
            buffered = buffered.ask_author("log", f"{late}: flush after each line")
            return replace(buffered, ready_log=line)
    return draft.remark("it logs nothing that says that it serves")


def _ready_line(lines: tuple[str, ...], port: int) -> str:
    """The first line that says that it serves, as a pattern; empty when there is none."""
    lines = tuple(line for line in lines if not FAILING_WORDS.search(line))
    serving = [line for line in lines if SERVING_WORDS.search(line)]
    later = [line for line in serving if "start" not in line.lower()]
    starting = [line for line in lines if "start" in line.lower() and str(port) in line]
    # It names its port: better than nothing, as its port has to be open, too.
    naming = [line for line in lines if re.search(rf"\b{port}\b", line)]
    found = next(iter((*later, *serving, *starting, *naming)), "")
    return as_pattern(found, port)


def as_pattern(line: str, port: int) -> str:
    """A log line as a pattern for every start: its port as {port}, other numbers as any number."""
    text = LINE_TIME.split(line)[-1].strip()
    # A path, such as that of the data directory, is another one in every run.
    text = PATH.sub(PATH_MARK, text)
    parts = re.split(rf"\b{port}\b", text)
    return "{port}".join(
        _any_role(re.sub(r"\d+", r"\\d+", escape(part))).replace(PATH_MARK, r"\S+")
        for part in parts
    )


def _any_role(pattern: str) -> str:
    """A pattern that holds for both roles: the same line is waited for on every node."""
    words = r"\b(?:leader|follower|primary|replica|secondary|backup|master|slave)\b"
    return re.sub(words, r"\\w+", pattern, flags=re.IGNORECASE)
