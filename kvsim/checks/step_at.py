"""Which step of a run lasted at a time? Pure."""

from __future__ import annotations

from kvsim.history.run_record import RunRecord


def step_at(record: RunRecord, at_s: float) -> str:
    """The innermost step that lasted at a time, else the last that had begun; may be empty."""
    ended = {event["id"]: event.at_s for event in record.of_kind("step_end")}
    begun = [event for event in record.of_kind("step") if event.at_s <= at_s]
    lasting = [event for event in begun if ended.get(event["id"], at_s) >= at_s]
    chosen = lasting or begun
    return str(chosen[-1]["id"]) if chosen else ""
