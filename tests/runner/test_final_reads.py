"""The final reads: kvsim's own time to read many keys is not the nodes'. No process."""

from __future__ import annotations

import threading
from types import SimpleNamespace

import pytest

from kvsim.history.outcome import Outcome, OutcomeKind
from kvsim.runner.steps.workload import FinalReads
from kvsim.waiting import Deadline

PROGRAM = SimpleNamespace(requests={"get": None})


class Nodes:
    """As much of a Context as the final reads use; n2 shows each key only when it is read again."""

    def __init__(self, late: set[str]) -> None:
        self.late = set(late)
        self.asked: list[tuple[str, str]] = []
        self.connections = self
        node = SimpleNamespace(up=True, program=PROGRAM)
        self.launcher = SimpleNamespace(nodes={"n1": node, "n2": node})

    def ask(self, node, request, *, step, purpose):
        key = request.fields["key"]
        self.asked.append((node, key))
        is_late = node == "n2" and key in self.late
        self.late -= {key} if is_late else set()
        return SimpleNamespace(outcome=Outcome(OutcomeKind.OK, value="old" if is_late else "new"))


def test_keys_that_differ_are_read_again_and_no_others():
    nodes = Nodes(late={"b"})
    reads = FinalReads(nodes, ["a", "b", "c"], Deadline.after(0.0))
    assert not reads.agree() and reads.agree()
    assert [key for node, key in nodes.asked if node == "n1"] == ["a", "b", "c", "b"]


def test_the_time_of_reading_is_not_used_by_nodes_that_agree():
    reads = FinalReads(Nodes(late=set()), ["a", "b"], Deadline.after(0.0))
    assert reads.agree() and reads.disagreed_s == 0.0


def test_nodes_are_read_side_by_side():
    """Each read waits until the other node is asked, too: one after another would never end."""
    nodes, both = Nodes(late=set()), threading.Barrier(2)
    ask = nodes.ask

    def ask_together(node, request, **words):
        both.wait(timeout=180)
        return ask(node, request, **words)

    nodes.ask = ask_together
    assert FinalReads(nodes, ["a", "b"], Deadline.after(0.0)).agree()


def test_an_interrupt_ends_the_reads_of_all_nodes():
    nodes = Nodes(late=set())
    ask = nodes.ask

    def interrupt(node, request, **words):
        if node == "n2":
            raise KeyboardInterrupt
        return ask(node, request, **words)

    nodes.ask = interrupt
    reads = FinalReads(nodes, [str(key) for key in range(100_000)], Deadline.after(0.0))
    with pytest.raises(KeyboardInterrupt):
        reads.agree()
    assert len(nodes.asked) < 100_000
