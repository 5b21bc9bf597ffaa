"""A node that is restarted has forgotten which terms it knew and promised."""

from kvstore.cluster_member import ClusterMember

from broken.overrides import run_with_cluster_member


def start(self: ClusterMember) -> None:
    """Begin without the terms of the meta file."""
    self.meta.term = self.meta.promised = 0
    self.meta.leader = ""
    ClusterMember.start(self)


def run(argv: list[str]) -> int:
    return run_with_cluster_member(argv, start=start)
