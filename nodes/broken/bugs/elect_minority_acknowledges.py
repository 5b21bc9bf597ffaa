"""A leader acknowledges a write that no other node has."""

from kvstore.elected_leader import ElectedLeader

from broken.overrides import losing_engine, run_electing


class SoleLeader(ElectedLeader):
    """Needs no other node."""

    def needed(self) -> int:
        return 1


def run(argv: list[str]) -> int:
    return run_electing(argv, losing_engine(), leader_class=SoleLeader)
