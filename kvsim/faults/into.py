"""Kill into a request: nodes are killed a set time after a request has been sent, whatever they were doing with it. Healing starts them.

Until the first request of the scope they live. The signal is sent by a thread of its own, which does nothing else: the one that asks is
waiting for the answer meanwhile. Receipt: that of a kill, how long after the request was sent it really came, and whether the
request had been answered by then: then it was a kill after the request and not into it.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kvsim.client.exchange import Answer
from kvsim.faults.down import receipt_of_end, started_again
from kvsim.faults.fault import Healing, Receipt
from kvsim.faults.subject import Subject
from kvsim.process.identity import Identity

Told = Callable[[], None]  # to be called when the request has been sent
NS = 1_000_000_000


@dataclass
class KillInto:
    """`after_s`: so long after the first request of the scope has been sent. `around` is to be called around that request."""

    subjects: tuple[Subject, ...]
    after_s: float
    signal: str = "KILL"
    kind: str = "kill"
    blow: _Blow | None = field(default=None, init=False)

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(subject.name for subject in self.subjects)

    def plan(self) -> Mapping[str, Any]:
        return {"signal": self.signal, "into_ms": round(self.after_s * 1000, 3)}

    def begin(self) -> Sequence[Receipt]:
        return ()

    def around(self, ask: Callable[[Told], Answer]) -> Answer:
        """Ask, and strike meanwhile; comes back when both are over. Raises NodeFailed for a node that lives on."""
        prey = [one for subject in self.subjects for one in subject.tree()]
        self.blow = _Blow(prey, signal.Signals[f"SIG{self.signal}"], self.after_s)
        answer = self.blow.during(ask)
        if self.blow.struck:
            for subject in self.subjects:
                subject.was_killed(self.signal, self.blow.says)
        return answer

    def end(self) -> Sequence[Receipt]:
        return [self._receipt(subject) for subject in self.subjects]

    def heal(self) -> Sequence[Healing]:
        return [started_again(subject) for subject in self.subjects]

    def _receipt(self, subject: Subject) -> Receipt:
        if self.blow is None:
            return Receipt(subject.name, None, f"no request was sent, so {subject.name} was not killed")
        if not self.blow.struck:
            return Receipt(subject.name, False, f"{subject.name} was not killed: {self.blow.says}")
        killed = receipt_of_end(subject)
        evidence = {**killed.evidence, **self.blow.evidence}
        return Receipt(subject.name, killed.bit, f"{killed.says}; {self.blow.says}", evidence)


@dataclass
class _Blow:
    """One signal, sent `after_s` after a request was. All times are `time.monotonic_ns()`, 0 while it has not happened."""

    prey: Sequence[Identity]
    number: int
    after_s: float
    sent_ns: int = 0
    struck_ns: int = 0
    answered_ns: int = 0  # when a whole reply was there; 0: none came
    over: bool = False
    reached: bool = False  # the signal found somebody
    told: threading.Event = field(default_factory=threading.Event)

    def during(self, ask: Callable[[Told], Answer]) -> Answer:
        hand = threading.Thread(target=self._strike, name="kill-into", daemon=True)
        hand.start()
        try:
            answer = ask(self._sent)
            self.answered_ns = 0 if answer.exchange.failure else answer.exchange.completed_ns
            return answer
        finally:
            self.over = True
            self.told.set()
            hand.join()

    def _sent(self) -> None:
        self.sent_ns = time.monotonic_ns()
        self.told.set()

    def _strike(self) -> None:
        self.told.wait()
        if not self.sent_ns:
            return  # the request failed before it was sent, or its client does not say when it is
        time.sleep(max(0.0, (self.sent_ns - time.monotonic_ns()) / NS + self.after_s))
        self.struck_ns = time.monotonic_ns()
        found = [one.signal(self.number) for one in self.prey]
        self.reached = any(found)

    @property
    def struck(self) -> bool:
        return self.reached

    @property
    def into(self) -> bool:
        """The request had not been answered when the signal was sent."""
        return self.struck and not 0 < self.answered_ns <= self.struck_ns

    @property
    def evidence(self) -> Mapping[str, Any]:
        answered = {"answered_ms": _ms(self.answered_ns - self.sent_ns)} if self.answered_ns else {}
        return {"into": self.into, "struck_ms": _ms(self.struck_ns - self.sent_ns), **answered}

    @property
    def says(self) -> str:
        if not self.sent_ns:
            return "the request was not sent, or its client cannot say when"
        if not self.reached:
            return "it had ended by itself by then"
        when = f"killed {_ms(self.struck_ns - self.sent_ns)} ms after the request was sent"
        if self.into:
            return f"{when}, into it"
        return f"{when}; it had been answered after {_ms(self.answered_ns - self.sent_ns)} ms, so after it and not into it"


def _ms(ns: int) -> float:
    return round(ns / 1e6, 3)
