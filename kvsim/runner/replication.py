"""Read what a write left behind, and wait until it has reached the nodes that should show it.

An accepted write has the cluster's lag for that. A node that did not show one write in this time is
not waited for again, so that all the writes of a run cost one lag at most for each node.
"""

from __future__ import annotations

from kvsim.history.outcome import Outcome, OutcomeKind
from kvsim.history.run_record import RequestRecord
from kvsim.runner.connections import Values
from kvsim.runner.context import Context
from kvsim.runner.roles import REPORTS, leaders
from kvsim.waiting import Deadline, TimedOut, wait_until


def read_after(context: Context, step_id: str, write: RequestRecord) -> None:
    """Read the key of a write on every node, and remember what an accepted one left behind.

    A delete that found nothing, or a mismatch, has nothing to pass on.
    """
    key = write.key or ""
    deadline = Deadline.after(context.cluster.lag.within_s)
    values = context.observed_state.read(key, step=step_id, phase="after")
    if write.outcome.kind is not OutcomeKind.OK:
        return
    if write.outcome.done:
        _wait_for_arrival(context, step_id, write, values, deadline)
    context.observed_state.remember(key, values)


def _wait_for_arrival(
    context: Context, step_id: str, write: RequestRecord, values: Values, deadline: Deadline
) -> None:
    """Read again until the write has arrived; `values` holds what was read last.

    A write that does not arrive is for the checks to judge.
    """
    awaited = _awaited(context, write, values)

    def has_arrived() -> bool:
        nonlocal awaited
        if not leaders(context.roles) and any(r.how == REPORTS for r in context.roles.values()):
            context.observe_roles(step_id)
        values.update(context.observed_state.read(write.key or "", step=step_id, phase="after"))
        awaited = _awaited(context, write, values)
        return not awaited

    if not awaited:
        return
    try:
        wait_until(has_arrived, deadline, "the write to arrive")
    except TimedOut:
        context.given_up |= awaited


def _awaited(context: Context, write: RequestRecord, values: Values) -> set[str]:
    """The nodes that do not show the write yet and are waited for.

    The leader, for a write that another node accepted; all nodes, where no leader is known; the
    followers, where the cluster's lag says that they must have it, or never have it: that shows
    only after a time. Nodes that are down, that serve no reads or that have a fault are not.
    """
    leading = leaders(context.roles)
    if leading and write.node not in leading:
        nodes = set(leading[:1])
    else:
        nodes = set() if leading else set(values)
    if context.cluster.lag.follower_has != "may":
        nodes |= values.keys() - set(leading)
    nodes -= context.given_up | set(context.connections.silence.nodes_with_faults)
    return {
        node
        for node in nodes
        if node in values and context.launcher.nodes[node].up and _lacks(values[node], write.value)
    }


def _lacks(reading: Outcome, value: str | None) -> bool:
    """Whether a node answered, and showed another value."""
    return reading.kind is OutcomeKind.OK and reading.value != value
