"""The leader answers OK when it has a write itself, whatever `--replication` asks for."""

from kvstore.leading import Leading

from broken.pieces import run_with_cluster


class Hasty(Leading):
    """Needs nobody."""

    def needed(self):
        return 1


def run(argv):
    return run_with_cluster(argv, leading_class=Hasty)
