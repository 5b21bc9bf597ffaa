"""Take away from a bad list until nothing can be taken away: Zeller and Hildebrandt's ddmin (2002). Pure;
knows no meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

Item = TypeVar("Item")


def ddmin(items: list[Item], bad: Callable[[list[Item]], bool], late: Callable[[], bool]) -> list[Item]:
    """A part of `items`, in order, that is still `bad` and from which no single item can go; sooner when it
    is `late`.

    `items` has to be bad to begin with.
    """
    parts = 2
    while len(items) >= 2 and not late():
        size = -(-len(items) // parts)
        for start in range(0, len(items), size):
            rest = items[:start] + items[start + size :]
            if bad(rest):
                items, parts = rest, max(parts - 1, 2)
                break
        else:
            if parts >= len(items):
                return items
            parts = min(len(items), parts * 2)
    return [] if len(items) == 1 and bad([]) else items
