"""The leader acknowledges a write before any follower has it, also with replication=all."""

from kvstore.leader import Leader

from broken.overrides import run_with_cluster_member


class SoleLeader(Leader):
    """Waits for no follower."""

    def needed(self) -> int:
        return 1


def run(argv: list[str]) -> int:
    return run_with_cluster_member(argv, leader_class=SoleLeader)
