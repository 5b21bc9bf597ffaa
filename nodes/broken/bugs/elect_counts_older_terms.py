"""A leader takes a record of an older term for committed when a majority has it.

A new leader writes no no-op: its term begins in the log with its first write.
"""

from kvstore.elected_leader import ElectedLeader

from broken.overrides import losing_engine, run_electing


class EagerLeader(ElectedLeader):
    """Takes every record for one of its own term."""

    def is_own_term(self, index: int) -> bool:
        return True


def run(argv: list[str]) -> int:
    losing = losing_engine()

    class LazyEngine(losing):  # type: ignore[misc, valid-type]
        """`opening`: the term of the next record that is written."""

        opening = 0

        def open_term(self, term: int) -> None:
            self.opening = term

        def write_pending(self) -> None:
            if self.pending:
                self.log.term = max(self.log.term, self.opening)
            super().write_pending()

    return run_electing(argv, LazyEngine, leader_class=EagerLeader)
