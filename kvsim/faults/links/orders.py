"""Orders to a process that carries links, from its own side: one line of JSON each, answered by one line. Carries nothing out."""

from __future__ import annotations

import json
import os
from typing import Any


class Orders:
    """Reads orders from a file."""

    def __init__(self, fd: int) -> None:
        self._fd, self._got = fd, b""
        self.over = False

    def lines(self) -> list[Any]:
        """The orders that have arrived whole; sets `over` at the end."""
        data = os.read(self._fd, 1 << 20)
        self.over = not data
        *whole, self._got = (self._got + data).split(b"\n")
        return [json.loads(line) for line in whole]

    def first(self) -> Any:
        """Wait for the first order; None when there is none."""
        orders: list[Any] = []
        while not orders and not self.over:
            orders = self.lines()
        return orders[0] if orders else None


def say(order: Any, words: Any) -> None:
    """Answer an order, by its number."""
    print(json.dumps([order["number"], words]), flush=True)
