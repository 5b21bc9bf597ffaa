"""Delta debugging: make a failing list smaller until no single item can be left out.

The algorithm is ddmin (A. Zeller, R. Hildebrandt, "Simplifying and Isolating Failure-Inducing
Input", IEEE Transactions on Software Engineering 28(2), 2002), restricted to complements: each
test leaves one part out. It knows nothing of what the items are: operations of a history here,
steps of a scenario in `kvsim.trials`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

Item = TypeVar("Item")


def ddmin(
    items: Sequence[Item],
    fails: Callable[[list[Item]], bool],
    expired: Callable[[], bool] = lambda: False,
) -> list[Item]:
    """A part of `items`, in their order, that still `fails` and from which no single item can go.

    `items` themselves must fail; this is not tested again. Parts are left out from the front to
    the back, each time of what is left: reverse the list to try the last items first. When
    `expired` becomes true, the smallest part found so far is returned; it may not be minimal.
    What `fails` raises passes through.
    """
    kept = list(items)
    parts = 2
    while len(kept) >= 2 and not expired():
        size = -(-len(kept) // parts)
        for start in range(0, len(kept), size):
            rest = kept[:start] + kept[start + size :]
            if fails(rest):
                kept, parts = rest, max(parts - 1, 2)
                break
        else:
            if parts >= len(kept):
                return kept
            parts = min(len(kept), parts * 2)
    return [] if len(kept) == 1 and fails([]) else kept
