"""Small pure functions from values to readable text, shared by every package.

They know nothing of files, terminals or of what the text means.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable, Sequence

# A message lists no more known words than this.
KNOWN_MAX = 16
# More known words than this are not compared: a file may have thousands, and as many mistakes.
COMPARED_MAX = 500

ANSI = re.compile(
    # CSI: colours, cursor
    rb"\x1b\[[0-?]*[ -/]*[@-~]"
    # OSC: titles, links
    rb"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    # two-byte escapes
    rb"|\x1b[ -/]*[0-~]"
)
# C0 (but tab and line end), DEL, C1, marks of text direction, line and paragraph separators.
UNSAFE = (
    *(code for code in range(0x20) if chr(code) not in "\t\n"),
    *range(0x7F, 0xA0),
    *(0x061C, 0x200E, 0x200F),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
)
ESCAPES = {code: f"\\x{code:02x}" if code < 0x20 else f"\\u{code:04x}" for code in UNSAFE}
CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint for an unknown word: the closest known word, or the list of known words.

    Starts with `; ` so that a message can append it; empty when there are no known words.
    """
    words = list(known)
    if len(words) > COMPARED_MAX:
        return ""
    words.sort()
    close = closest(word, words)
    if close:
        return f"; did you mean `{close}`?"
    if not words:
        return ""
    return "; known: " + ", ".join(words[:KNOWN_MAX]) + (", …" if len(words) > KNOWN_MAX else "")


def closest(word: str, words: Iterable[str]) -> str | None:
    """The known word that was most likely meant; None when none is close."""
    words = list(words)
    if len(words) > COMPARED_MAX:
        return None
    folded = word.casefold().replace("-", "_")
    for known in words:
        if known.casefold().replace("-", "_") == folded:
            return known
    # Late, because only a file with a mistake needs it.
    from difflib import get_close_matches

    found = get_close_matches(word[:60], words, n=1, cutoff=0.6)
    return found[0] if found else None


def truncate(text: str, length_max: int) -> str:
    """The text, or its beginning and `…`: never more than `length_max` characters."""
    return text if len(text) <= length_max else text[: length_max - 1] + "…"


def escape(text: str) -> str:
    r"""The text with unsafe characters as `\x1b` or `\u202e`, which is also valid within JSON."""
    return text if text.isascii() and text.isprintable() else text.translate(ESCAPES)


def escape_surrogates(text: str) -> str:
    r"""The text with an escape for each lone surrogate, so that it can be written as UTF-8.

    A byte of a node that is not UTF-8 is such a surrogate. In JSON text the escape (`\udce9`) is
    read as the same character.
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def one_line(text: str) -> str:
    """A text of several lines as one: the first, then the others without indentation and blank
    lines, separated by `|`.
    """
    first, *rest = text.splitlines() or [""]
    return " ".join(filter(None, (first, " | ".join(filter(None, map(str.strip, rest))))))


def even_members(count: int) -> str:
    """Why a cluster that elects should not have this many nodes; empty when it is odd."""
    if count % 2:
        return ""
    return (
        f"{count} nodes elect a leader, an even number: a majority is {count // 2 + 1}, so that no "
        f"more of them may fail than of {count - 1}"
    )


def plural(count: int, noun: str) -> str:
    """`1 write`, `2 writes`."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def enumerate_some(items: Sequence[str], shown: int = 5) -> str:
    """`a, b, c`; of many, the first ones and how many more there are."""
    more = len(items) - shown
    return ", ".join(items[:shown]) + (f" and {more:,} more" if more > 0 else "")


def format_number(value: object) -> str:
    """A measured figure: thousands separated by commas, three decimals for a float."""
    if isinstance(value, float):
        return f"{value:,.3f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def show_bytes(raw: bytes) -> str:
    r"""Bytes as text where they are text. Control characters, and bytes that are not UTF-8, are
    written as `\n` or `\xff`.
    """
    text = raw.decode("utf-8", "backslashreplace")
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def quote_bytes(raw: bytes) -> str:
    """Bytes in quotes: as text where they are UTF-8, otherwise as `b'…'`."""
    try:
        return repr(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return repr(raw)


UTF8, UTF16_LITTLE, UTF16_BIG = "utf-8", "utf-16-le", "utf-16-be"


def encoding_of(head: bytes) -> str:
    """The encoding of a file that begins with these bytes: UTF-8, unless it is clearly UTF-16."""
    if head.startswith(codecs.BOM_UTF16_LE):
        return UTF16_LITTLE
    if head.startswith(codecs.BOM_UTF16_BE):
        return UTF16_BIG
    even, odd = head[0::2], head[1::2]
    for high, low, encoding in ((odd, even, UTF16_LITTLE), (even, odd, UTF16_BIG)):
        # Of Latin letters, every second byte is zero.
        if len(odd) >= 4 and high.count(0) > 0.7 * len(odd) and 0 not in low:
            return encoding
    return UTF8


def decode_log(data: bytes) -> str:
    """The text of a log, of which `data` is the beginning."""
    return data.decode(encoding_of(data[:256]), "replace").removeprefix("\ufeff")


def printable(raw: bytes) -> str:
    r"""One line of a log as text that any terminal, regular expression and report can take.

    The line end and terminal escapes are dropped. Other control characters, and bytes that are
    not UTF-8, are written as `\x07`.
    """
    raw = raw.rstrip(b"\r\n")
    if raw.isascii() and (text := raw.decode("ascii")).isprintable():
        return text
    text = ANSI.sub(b"", raw).decode("utf-8", "backslashreplace")
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
