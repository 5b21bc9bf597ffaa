"""A follower that becomes the leader discards its last write first."""

from kvstore.cluster import Cluster

from broken.pieces import run_with_cluster


def take_over(self, epoch):
    """Begin the new epoch one record earlier."""
    ends = self.engine.log.ends(2)
    if len(ends) == 2:
        self.engine.rewind(*ends[1])
    Cluster.take_over(self, epoch)


def run(argv):
    return run_with_cluster(argv, take_over=take_over)
