"""The leader reports of every follower that it is not behind."""

from kvstore.leader import FollowerLink, Leader

from broken.overrides import run_with_cluster_member


class ZeroLagLeader(Leader):
    """Reports no lag."""

    def lag(self, link: FollowerLink) -> int:
        return 0


def run(argv: list[str]) -> int:
    return run_with_cluster_member(argv, leader_class=ZeroLagLeader)
