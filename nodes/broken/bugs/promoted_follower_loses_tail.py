"""A follower that becomes the leader discards its last write first."""

from kvstore.cluster_member import ClusterMember

from broken.overrides import run_with_cluster_member


def take_over(self: ClusterMember, term: int) -> None:
    """Begin the new term one record earlier."""
    ends = self.engine.log.record_ends(2)
    if len(ends) == 2:
        self.engine.rewind(*ends[1])
    ClusterMember.take_over(self, term)


def run(argv: list[str]) -> int:
    return run_with_cluster_member(argv, take_over=take_over)
