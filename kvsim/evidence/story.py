"""Tell one failing step as a good debugger would: where it stands, who was asked, sent, received, expected, state, logs. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from kvsim.checks.expectations import describe
from kvsim.checks.fate import fate_of, read_back
from kvsim.history.record import Operation, Record, StepRecord

LOG_LINES = 5
BLAMES_SHOWN = 3


def story(record: Record, step: StepRecord, blame: Sequence[str] = ()) -> list[str]:
    """The lines for one step that did not pass. `blame` is what checks have against it, whether its expectation was met or not."""
    place = f"{record.meta['scenario_file']}:{step.line}"
    target = ", ".join(step.targets) or "nobody"
    known = f" ({step.resolved})" if step.resolved else ""
    lines = [
        f"{place}: step {step.id}, {step.group}",
        f"  step      {step.text}",
        f"  for       {step.at} → {target}{known}" if step.at else f"  for       {target}",
        f"  expected  {step.expect or 'no error'}",
        *_but(step, blame),
    ]
    for operation in _telling(step):
        lines += _wire(record, operation)
    for node in _involved(step):
        lines += _log_end(record, node, step)
    return [*lines, f"  again     {record.meta['again']}"]


def _but(step: StepRecord, blame: Sequence[str]) -> Iterator[str]:
    said = list(dict.fromkeys([*([step.why] if step.why else []), *blame]))
    for place, text in enumerate(said[:BLAMES_SHOWN]):
        yield f"  {'' if place else 'but':<9} {text}"
    if len(said) > BLAMES_SHOWN:
        yield f"            and {len(said) - BLAMES_SHOWN} more, below"


def _telling(step: StepRecord) -> list[Operation]:
    """The operations worth showing: the last one of each node."""
    last = {operation.node: operation for operation in step.of_purpose("step", "follow", "wait")}
    return list(last.values())


def _involved(step: StepRecord) -> list[str]:
    return list(step.targets) or sorted({operation.node for operation in step.operations})


def _wire(record: Record, operation: Operation) -> Iterator[str]:
    yield f"  {operation.node}  sent      {operation.sent!r}"
    yield f"  {operation.node}  received  {operation.received!r} after {operation.latency_ms:.1f} ms: {describe(operation.outcome)}"
    if not operation.is_write:
        return
    before, after = read_back(record, operation)
    for word, values in (("before", before), ("after", after)):
        shown = ", ".join(f"{node} {describe(value)}" for node, value in values.items())
        if shown:
            yield f"      {word:<8}{operation.key}: {shown}"
    if record.role_at(operation.node, operation.invoked_s) == "follower":
        yield f"      meaning {fate_of(record, operation)}"


def _log_end(record: Record, node: str, step: StepRecord) -> Iterator[str]:
    begun = [event["incarnation"] for event in record.of_kind("spawn") if event["node"] == node]
    if not begun:
        return
    incarnation = (
        step.operations[-1].incarnation if step.operations and step.operations[-1].node == node else begun[-1]
    )
    lines = record.logs.get((node, incarnation), "").splitlines()[-LOG_LINES:]
    yield (
        f"  log of {node} (nodes/{node}/{incarnation}.log), its end:"
        if lines
        else f"  log of {node} is empty"
    )
    yield from (f"    {line[:300]}" for line in lines)
