"""A leader that learns of a newer term continues to lead its own."""

from kvstore.cluster_member import ClusterMember

from broken.overrides import run_with_cluster_member


def fence(self: ClusterMember, term: int, leader: tuple[str, int] | None) -> None:
    """Ignore a newer term while this node leads."""
    if not self.node.is_leader:
        ClusterMember.fence(self, term, leader)


def run(argv: list[str]) -> int:
    return run_with_cluster_member(argv, fence=fence)
