"""Guess what the author meant by a word nobody knows. Pure; used by every reader of this folder."""

from __future__ import annotations

from collections.abc import Iterable

KNOWN_MAX = 16  # so many known words fit into a message


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """` (did you mean …?)` for a close known word, else ` (known: …)` for a short list, else an empty text."""
    words = sorted(known)
    close = _closest(word, words)
    if close:
        return f"; did you mean `{close}`?"
    if not words:
        return ""
    return "; known: " + ", ".join(words[:KNOWN_MAX]) + (", …" if len(words) > KNOWN_MAX else "")


def _closest(word: str, words: list[str]) -> str | None:
    folded = word.casefold().replace("-", "_")
    for known in words:
        if known.casefold().replace("-", "_") == folded:
            return known
    from difflib import get_close_matches  # late: only a file with a mistake pays for it

    found = get_close_matches(word[:60], words, n=1, cutoff=0.6)
    return found[0] if found else None
