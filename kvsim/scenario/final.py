"""The end of a run with loads: stop them, then read every key of theirs on every node, after healing and quiet.

Followers that are promised to catch up get the cluster's lag to do so. Judges nothing.
"""

from __future__ import annotations

from kvsim.client.exchange import Request
from kvsim.errors import RunInvalid
from kvsim.scenario.context import Context
from kvsim.scenario.load_steps import stop
from kvsim.waiting import Deadline, TimedOut, wait_until

PURPOSE = "final"


def finish_loads(context: Context) -> None:
    """Stop whatever load still runs and make the final reads. Raises RunInvalid when a load process broke."""
    for name in list(context.loads):
        stop(context, name)
    keys = [key for keys in context.keys_of_loads.values() for key in keys]
    if not keys:
        return
    context.roles.look("")
    catch_up = _catch_up(context)
    deadline = Deadline.after(context.cluster.lag.within_s if catch_up else 0.0)
    try:
        wait_until(lambda: _agree(context, keys), deadline, "all nodes to show the same")
    except TimedOut:
        return  # what was read last is what the checks judge
    if catch_up:
        context.note_limit("agreement", "the final reads", deadline)


def abandon_loads(context: Context) -> None:
    """Stop the loads that a run which broke off left behind; what they did until then is kept. Raises nothing of theirs."""
    for name, process in list(context.loads.items()):
        try:
            stop(context, name)
        except RunInvalid:
            process.close()


def _catch_up(context: Context) -> bool:
    return any(
        node.program.promises.get("follower_reads", "none") != "none"
        for node in context.launcher.nodes.values()
    )


def _agree(context: Context, keys: list[str]) -> bool:
    """Read every key on every node that is up; whether all answered the same."""
    agreed = [_agree_on(context, key) for key in keys]
    return all(agreed)


def _agree_on(context: Context, key: str) -> bool:
    shown = set()
    for name, node in context.launcher.nodes.items():
        if node.up and "get" in node.program.requests:
            outcome = context.sessions.ask(
                name, Request("get", {"key": key}), step="", purpose=PURPOSE
            ).outcome
            shown.add((outcome.kind, outcome.value))
    return len(shown) == 1
