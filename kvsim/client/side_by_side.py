"""Send one request to several nodes at the same time, and wait for all responses.

Each client has its own thread; all but the last, which the calling thread asks itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def side_by_side(calls: Sequence[Callable[[], T]]) -> list[T]:
    """The results of all calls, in their order.

    Returns when all have ended. Raises the first error, in the same order.
    """
    results: dict[int, T] = {}
    errors: dict[int, BaseException] = {}

    def carry_out(index: int) -> None:
        try:
            results[index] = calls[index]()
        except Exception as error:
            errors[index] = error

    last = len(calls) - 1
    threads = [threading.Thread(target=carry_out, args=(index,)) for index in range(last)]
    for thread in threads:
        thread.start()
    try:
        if calls:
            carry_out(last)
    finally:
        for thread in threads:
            thread.join()
    if errors:
        raise errors[min(errors)]
    return [results[index] for index in range(len(calls))]
