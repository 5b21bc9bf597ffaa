"""How is it started? Tries the usual ways of saying port, data directory and role, and looks at what its log says then."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from kvsim.doctor.first.draft import Draft
from kvsim.doctor.first.trial import started
from kvsim.doctor.patient import Ward
from kvsim.errors import NodeFailed, UsageError
from kvsim.process.executable import SpawnError
from kvsim.waiting import Deadline, TimedOut, wait_until

WAYS: tuple[tuple[str, ...], ...] = (
    ("--port={port}", "--data-dir={data_dir}", "--role={role}"),  # the lesson's
    ("--port", "{port}", "--data-dir", "{data_dir}", "--role", "{role}"),
    ("--port={port}", "--data-dir={data_dir}"),
    ("--port", "{port}", "--dir", "{data_dir}"),
    ("--port", "{port}"),
    ("-p", "{port}", "-d", "{data_dir}"),
    ("-p", "{port}"),
    ("{port}",),
)
FOLLOWER_WAYS: tuple[tuple[str, ...], ...] = (
    ("--leader={leader.addr}",),
    ("--leader={leader.port}",),
    ("--leader", "{leader.addr}"),
    (),
)
LOG_S = 0.5
TIME = re.compile(
    r"\d\d:\d\d:\d\d(?:[.,]\d+)?\S*\s+(?:\W\s+)?"
)  # what stands before it is another one at every start
SERVES = re.compile("listen|ready|serving|accept|started|running", re.IGNORECASE)


def learn_start(words: tuple[str, ...], folder: Path) -> Draft:
    """A draft that starts. Raises UsageError with what the first way led to when none does."""
    ways = [()] if any("{port}" in word for word in words) else WAYS
    first_trouble = ""
    for way in ways:
        draft = Draft(Path(words[0]).stem, (*words, *way))
        try:
            with started(draft, folder) as ward:
                return _with_log(draft, folder, ward)
        except NodeFailed as error:
            first_trouble = first_trouble or str(error)
        except SpawnError as error:
            raise UsageError(str(error)) from error
    raise UsageError(
        f"it did not start in any of the usual ways; the first one ({' '.join((*words, *ways[0]))}) ended so:\n{first_trouble}\n"
        "give its command with {port}, {data_dir} and {role} where they belong: --program './store -p {port} …'"
    )


def _with_log(draft: Draft, folder: Path, ward: Ward) -> Draft:
    line = _ready_line(ward)
    if line:
        return replace(draft, ready_log=line)
    for mode in ("linebuf", "pty"):
        buffered = replace(draft, log_mode=mode)
        with started(buffered, folder) as again:
            line = _ready_line(again)
        if line:
            return replace(buffered, ready_log=line)
    return replace(draft, remarks=(*draft.remarks, "it logs no line that says that it serves"))


def _ready_line(ward: Ward) -> str:
    """The first line that speaks of serving, as a pattern; empty when none comes soon."""

    def look() -> str:
        lines = ward.node.log.last(50)
        return next((line for line in lines if SERVES.search(line) and "start" not in line.lower()), "")

    try:
        line = wait_until(look, Deadline.after(LOG_S), "a line that says that it serves")
    except TimedOut:
        line = next((line for line in ward.node.log.last(50) if SERVES.search(line)), "")
    return as_pattern(line, ward)


def as_pattern(line: str, ward: Ward) -> str:
    """A line of the log as a pattern that fits every start: its port as {port}, other numbers as any number."""
    said = TIME.split(line)[-1].strip()
    parts = re.split(rf"\b{ward.node.place.port}\b", said)
    return "{port}".join(re.sub(r"\d+", r"\\d+", plain(part)) for part in parts)


def plain(text: str) -> str:
    """A text as a pattern that matches it, no more escaped than it must be, so that a person can read it."""
    return re.escape(text).replace("\\ ", " ").replace("\\-", "-")


def learn_follower(draft: Draft, folder: Path) -> Iterator[Draft]:
    """The drafts whose follower starts beside a leader, most telling first."""
    for way in FOLLOWER_WAYS:
        candidate = replace(draft, follower=way)
        try:
            with started(candidate, folder, followers=1):
                pass
        except (NodeFailed, SpawnError):
            continue
        yield candidate
