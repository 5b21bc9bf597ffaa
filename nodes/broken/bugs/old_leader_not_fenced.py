"""A leader that hears of a newer epoch goes on leading its own."""

from kvstore.cluster import Cluster

from broken.pieces import run_with_cluster


def fence(self, epoch, leader):
    """Follow nobody while one leads oneself."""
    if not self.node.leads:
        Cluster.fence(self, epoch, leader)


def run(argv):
    return run_with_cluster(argv, fence=fence)
