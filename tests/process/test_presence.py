"""Which nodes certainly do not run: what a start or an end between two looks shows. No node."""

from __future__ import annotations

import pytest

from kvsim.process.presence import Presence, PresenceReader, was_down

CHANGES = {
    "it runs": ((), (), False),
    "it has ended": (("has_ended",), (), True),
    "its end was noted twice": (("has_ended", "has_ended"), ("has_ended",), True),
    "it ended between the looks": ((), ("has_ended",), False),
    "it was started between the looks": (("has_ended",), ("may_run",), False),
    "it ran between the looks": (("has_ended",), ("may_run", "has_ended"), False),
    "it was started again before": (("has_ended", "may_run"), (), False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_node_was_down_only_if_it_was_down_all_the_time(name):
    before, between, expected = CHANGES[name]
    presence = Presence(["n1", "n2"])
    reader = PresenceReader(presence.path)
    for change in before:
        getattr(presence, change)("n2")
    first = reader.number(1)
    for change in between:
        getattr(presence, change)("n2")
    assert was_down(first, reader.number(1)) is expected
    assert reader.number(0) == 0
    presence.close()
    reader.close()


def test_without_a_file_every_node_may_run():
    reader = PresenceReader(None)
    assert not was_down(reader.number(0), reader.number(0))
    reader.close()
