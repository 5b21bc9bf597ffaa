"""A leader takes a record of an older term for committed when a majority has it."""

from kvstore.elected_leader import ElectedLeader

from broken.overrides import losing_engine, run_electing


class EagerLeader(ElectedLeader):
    """Takes every record for one of its own term."""

    def is_own_term(self, index: int) -> bool:
        return True


def run(argv: list[str]) -> int:
    return run_electing(argv, losing_engine(), leader_class=EagerLeader)
