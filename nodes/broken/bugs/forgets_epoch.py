"""A node that is started again has forgotten which epochs it has heard of and promised."""

from kvstore.cluster import Cluster

from broken.pieces import run_with_cluster


def start(self):
    """Begin as if the world were new."""
    self.meta.epoch = self.meta.promised = 0
    self.meta.leader = ""
    Cluster.start(self)


def run(argv):
    return run_with_cluster(argv, start=start)
