"""One request of a Python test, with the reads around a write that the checks need. The answer is not judged here."""

from __future__ import annotations

from kvsim.client.exchange import Request
from kvsim.errors import UsageError
from kvsim.history.outcome import Kind
from kvsim.history.record import WRITES, Operation
from kvsim.scenario.context import Context


def ask(
    context: Context,
    step: str,
    node: str,
    verb: str,
    fields: dict[str, str],
    payload: bytes,
    timeout_s: float | None,
) -> Operation:
    """Send it and record it. Raises UsageError when the node's program has no such request."""
    known = context.launcher.nodes[node].program.requests
    if verb != "raw" and verb not in known:
        raise UsageError(f"{node}: its program has no `{verb}`; it has {', '.join(sorted(known))}")
    key = fields.get("key", "")
    if verb in WRITES:
        context.state.read(key, step=step, phase="before")
    request = Request(verb, payload=payload) if verb == "raw" else Request(verb, fields)
    operation = context.sessions.ask(node, request, step=step, timeout_s=timeout_s)
    if verb in WRITES:
        values = context.state.read(key, step=step, phase="after")
        if operation.outcome.kind is Kind.OK:
            context.state.remember(key, values)
    return operation
