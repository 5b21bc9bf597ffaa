"""The guarantees that a program may state in node.yaml, and what each level means.

`kvsim.checks.consistency.guarantees` has the checks that judge each.
"""

from __future__ import annotations

# Guarantee → level → what it means.
GUARANTEE_LEVELS: dict[str, dict[str, str]] = {
    "writes": {
        "acked_by_leader": "the leader has it in memory: lost when the leader is killed, "
        "or another node becomes leader",
        "durable_at_leader": "the leader has it on disk: survives a restart of the leader, "
        "not another node in its place",
        "durable_at_majority": "a majority has it on disk: survives any minority, and a change of "
        "leader",
        "durable_at_all": "every node has it on disk: survives as long as one node does",
    },
    "leader_reads": {
        "linearizable": "what the leader serves behaves as one copy",
        "sequential": "each client sees the leader's order, perhaps late",
        "none": "nothing is guaranteed",
    },
    "follower_reads": {
        "linearizable": "any node's reads behave as one copy",
        "sequential": "each client sees the leader's order, perhaps late",
        "read_your_writes": "a client sees its own acknowledged writes",
        "monotonic_reads": "a client never goes back",
        "prefix": "each follower shows ever longer prefixes of the leader's order",
        "none": "nothing is guaranteed; a follower may have nothing at all",
    },
}
