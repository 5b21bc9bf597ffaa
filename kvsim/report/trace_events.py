"""Single events of the Trace Event format, as its readers want them. Times are given in seconds, written in microseconds."""

from __future__ import annotations

from typing import Any


def name(pid: int, text: str, tid: int | None = None) -> dict[str, Any]:
    """What a process is called or, with `tid`, one of its threads."""
    kind = "process_name" if tid is None else "thread_name"
    return {"ph": "M", "name": kind, "pid": pid, "tid": tid or 0, "args": {"name": text}}


def label(pid: int, text: str) -> dict[str, Any]:
    """A remark beside the name of a process."""
    return {"ph": "M", "name": "process_labels", "pid": pid, "tid": 0, "args": {"labels": text}}


def complete(title: str, pid: int, tid: int, begin_s: float, end_s: float, **args: Any) -> dict[str, Any]:
    """Something that lasted."""
    times = {"ts": round(begin_s * 1e6, 3), "dur": round(max(0.0, end_s - begin_s) * 1e6, 3)}
    return {"ph": "X", "name": title, "cat": "kvsim", "pid": pid, "tid": tid, **times, "args": args}


def count(title: str, pid: int, at_s: float, **series: int) -> dict[str, Any]:
    """Numbers that hold from a moment on."""
    return {"ph": "C", "name": title, "pid": pid, "tid": 0, "ts": round(at_s * 1e6), "args": series}
