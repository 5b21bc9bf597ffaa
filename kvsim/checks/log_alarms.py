"""Texts in logs that are unmistakable: a sanitizer's report, a panic, a crash of the runtime.

Each is the beginning of a report, as the tool's own sources print it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from msgspec import Struct


class LogAlarm(Struct, frozen=True):
    """What is printed by what: a pattern for one line, and the tool in words."""

    tool: str
    pattern: re.Pattern[str]


def _alarm(tool: str, pattern: str) -> LogAlarm:
    return LogAlarm(tool, re.compile(pattern))


# Sources: compiler-rt and libsanitizer (sanitizer_common, ubsan_diag.cpp), Go's runtime (panic.go,
# race), Rust's std (panicking.rs), HotSpot (vmError.cpp), Node.js and V8 (node_errors.cc), CPython
# (pythonrun.c, faulthandler.c), glibc (malloc.c, assert.c, stack_chk_fail.c, libio).
LOG_ALARMS = (
    _alarm("a sanitizer", r"==\d+==\s?ERROR: (?:Address|Leak|Memory|HWAddress)Sanitizer"),
    _alarm("a sanitizer", r"WARNING: (?:Thread|Memory)Sanitizer: "),
    _alarm("a sanitizer", r":\d+:\d+: runtime error: "),
    _alarm("valgrind", r"^==\d+== (?:Invalid (?:read|write|free)|Conditional jump)"),
    _alarm("Go", r"^(?:panic: |fatal error: (?!unexpected end)|WARNING: DATA RACE$)"),
    _alarm("Rust", r"^thread '.*' (?:\(\d+\) )?(?:panicked at |has overflowed its stack)"),
    _alarm("Java", r"^# A fatal error has been detected by the Java Runtime Environment"),
    _alarm("Java", r'^Exception in thread "'),
    _alarm("Java", r"\bjava\.lang\.(?:OutOfMemoryError|StackOverflowError)\b"),
    _alarm("Node.js", r"^(?:FATAL ERROR: .*(?:heap|Allocation)|node:internal/.*:\d+$)"),
    _alarm("Node.js", r"UnhandledPromiseRejection"),
    _alarm("Python", r"^Traceback \(most recent call last\):$"),
    _alarm("Python", r"^Fatal Python error: "),
    _alarm(
        "glibc",
        r"^\*\*\* .*(?:stack smashing detected|buffer overflow detected|double free|corrupted)",
    ),
    _alarm(
        "glibc",
        r"(?:^|: )(?:double free or corruption|free\(\): invalid|malloc\(\): |corrupted size vs|"
        r"munmap_chunk\(\): invalid|realloc\(\): invalid|malloc_consolidate\(\): )",
    ),
    _alarm("a failed assertion", r"[Aa]ssertion [`'].*' failed"),
    _alarm("a failed assertion", r"^Assertion failed: .*(?:file|function) "),
    _alarm("the C++ runtime", r"^terminate called (?:after throwing|without an active exception)"),
    _alarm("the C++ runtime", r"^pure virtual method called"),
)
# What continues a report: indented lines, and those that the tools begin so.
CONTINUES = re.compile(
    r"\s|$|#|=|at |note: |stack backtrace|goroutine |Thread |thread |SUMMARY|FATAL|File |"
    r"READ of |WRITE of |(?:[A-Za-z_]+\.)*[A-Za-z_]*(?:Error|Exception)\b|Caused by|exit status|"
    r"\[signal|Node\.js v"
)
REPORT_LINES_MAX = 60
# Searches one line for a pattern of the user.
Search = Callable[[str], re.Match[str] | None]


class LogReport(Struct, frozen=True):
    """One report in a log: the number of its first line, from 1, and its lines."""

    tool: str
    line: int
    lines: tuple[str, ...]


def find_reports(
    text: str,
    never: tuple[Search, ...] = (),
    allow: tuple[Search, ...] = (),
) -> Iterator[LogReport]:
    """Every report in a log. It begins with an alarm, or with a line that `never` forbids, and
    lasts as long as lines continue it. Lines that match `allow` begin none.
    """
    lines = text.splitlines()
    end = 0
    for number, line in enumerate(lines):
        if number < end or any(search(line) for search in allow):
            continue
        tool = _tool_of(line, never)
        if tool:
            end = _end_of(lines, number)
            yield LogReport(tool, number + 1, tuple(lines[number:end]))


def _tool_of(line: str, never: tuple[Search, ...]) -> str:
    if any(search(line) for search in never):
        return "what node.yaml says that its log never holds"
    return next((alarm.tool for alarm in LOG_ALARMS if alarm.pattern.search(line)), "")


def _end_of(lines: list[str], begin: int) -> int:
    """The line behind the report that begins there, without empty lines at its end."""
    last = min(len(lines), begin + REPORT_LINES_MAX)
    end = next((at for at in range(begin + 1, last) if not CONTINUES.match(lines[at])), last)
    while end > begin + 1 and not lines[end - 1].strip():
        end -= 1
    return end
