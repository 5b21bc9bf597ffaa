"""A disk that cannot be broken, because nothing reaches what the node does: said so, never passed over."""

from __future__ import annotations

from dataclasses import dataclass

from kvsim.faults.fault import Receipt
from kvsim.faults.subject import Subject


@dataclass(frozen=True)
class Unreached:
    """Does nothing. Its receipt is that it did not bite, and why it could not."""

    subject: Subject
    how: str
    why: str

    def begin(self) -> None:
        pass

    def receipt(self) -> Receipt:
        says = f"{self.subject.name}: a {self.how} disk cannot be shown to it: {self.why}; only `how: full` works from outside"
        return Receipt(self.subject.name, False, says, {"by": "nothing"})

    def end(self) -> None:
        pass

    def after(self) -> tuple[bool, str]:
        return True, "nothing was done to it"
