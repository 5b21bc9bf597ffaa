"""numpy, where it is installed (`kvsim[fast]`) and worth its import: all works without it."""

from __future__ import annotations

import sys
from functools import cache
from types import ModuleType

# From how many operations on numpy is faster: once it is imported, and with its import.
IMPORTED_OPERATIONS_MIN = 1_000
OPERATIONS_MIN = 50_000


def numpy_pays(count: int) -> bool:
    """Is numpy installed, and faster for `count` operations than plain Python?

    Importing it takes longer than plain Python takes for some ten thousand operations.
    """
    imported = sys.modules.get("numpy") is not None
    return count >= (IMPORTED_OPERATIONS_MIN if imported else OPERATIONS_MIN) and bool(numpy())


@cache
def numpy() -> ModuleType | None:
    """The numpy module, or None where it is not installed."""
    try:
        import numpy
    except ImportError:
        return None
    return numpy
