"""A node that becomes the leader discards the last three records of its log first."""

from kvstore.elected_member import ElectedMember

from broken.overrides import losing_engine, run_electing

RECORDS = 3


def take_over(self: ElectedMember, term: int, voters: str = "") -> None:
    """Discard, then lead."""
    ends = self.engine.log.record_ends(RECORDS + 1)
    for line in self.engine.rewind(*ends[-1]) if ends else ():
        self.server.log_line(line)
    ElectedMember.take_over(self, term, voters)


def run(argv: list[str]) -> int:
    return run_electing(argv, losing_engine(), take_over=take_over)
