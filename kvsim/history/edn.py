"""The part of EDN that histories are written in: maps, vectors, lists, sets, keywords, strings, numbers,
nil, true, false.

Pure: text to (line, value) pairs. Keywords become strings with their colon, so that `:ok` and "ok" stay two
things; symbols become strings; tags (`#jepsen.history.Op`) are dropped. Anything else is an EdnError that
names the line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

TOKEN = re.compile(
    r"""(?P<space>[\s,]+|;[^\n]*)|(?P<string>"(?:[^"\\]|\\.)*")|(?P<open>\#?\{|[\[(])|(?P<close>[\])}])"""
    r"""|(?P<tag>\#[A-Za-z][^\s,"{}\[\]()]*)|(?P<atom>[^\s,"{}\[\]();]+)""",
    re.DOTALL,
)
CLOSERS = {"{": "}", "#{": "}", "[": "]", "(": ")"}
WORDS = {"nil": None, "true": True, "false": False}
FLAT = object()  # stands for the maps of a vector that were given out one by one
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


class EdnError(ValueError):
    """Text that is not EDN. `line` counts from 1."""

    def __init__(self, line: int, what: str) -> None:
        self.line, self.what = line, what
        super().__init__(f"line {line}: {what}")


def values(text: str) -> Iterator[tuple[int, Any]]:
    """Every top-level value with the line it begins on; of a top-level vector its maps one by one. Raises
    EdnError.
    """
    stack: list[tuple[str, int, list[Any]]] = []
    for line, kind, token in _tokens(text):
        if kind == "open":
            stack.append((token, line, []))
            continue
        if kind == "close":
            value, line = _closed(stack, token, line)
        else:
            value = _atom(token, kind)
        if len(stack) == 1 and stack[0][0] == "[" and isinstance(value, dict):
            stack[0][2][:] = [FLAT]
            yield line, value
        elif stack:
            stack[-1][2].append(value)
        elif value != [FLAT]:
            yield line, value
    if stack:
        raise EdnError(stack[-1][1], f"{stack[-1][0]!r} is never closed")


def _tokens(text: str) -> Iterator[tuple[int, str, str]]:
    at, line = 0, 1
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise EdnError(line, f"cannot read {text[at : at + 20]!r}")
        kind = match.lastgroup or ""
        if kind not in ("space", "tag"):
            yield line, kind, match.group()
        line += match.group().count("\n")
        at = match.end()


def _closed(stack: list[tuple[str, int, list[Any]]], token: str, line: int) -> tuple[Any, int]:
    if not stack or CLOSERS[stack[-1][0]] != token:
        raise EdnError(line, f"{token!r} closes nothing")
    opener, begun, items = stack.pop()
    if opener != "{":
        return items, begun
    if len(items) % 2:
        raise EdnError(begun, "a map has a key without a value")
    return {_hashable(key): value for key, value in zip(items[::2], items[1::2], strict=True)}, begun


def _hashable(key: Any) -> Any:
    return tuple(map(_hashable, key)) if isinstance(key, list) else str(key) if isinstance(key, dict) else key


def _atom(token: str, kind: str) -> Any:
    if kind == "string":
        return re.sub(
            r"\\(.)", lambda match: ESCAPES.get(match.group(1), match.group(1)), token[1:-1], flags=re.DOTALL
        )
    if token in WORDS:
        return WORDS[token]
    try:
        return int(token.rstrip("N"))
    except ValueError:
        return token
