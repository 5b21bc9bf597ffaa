"""A leader that learns of a higher term continues to lead, now in that term."""

from kvstore.elected_leader import ElectedLeader
from kvstore.elected_member import ElectedMember

from broken.overrides import run_electing


class StubbornLeader(ElectedLeader):
    """Does not mind whether a majority answers."""

    def check_quorum(self) -> None:
        """Check nothing."""


def leave_leader(self: ElectedMember, led: int, reason: str) -> None:
    """Leave another leader only."""
    if self.leader is None:
        ElectedMember.leave_leader(self, led, reason)


def run(argv: list[str]) -> int:
    return run_electing(argv, leader_class=StubbornLeader, leave_leader=leave_leader)
