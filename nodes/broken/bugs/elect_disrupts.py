"""A node that hears of no leader opens a new term at once, and every node listens to it."""

from kvstore.elected_member import ElectedMember
from kvstore.election import Election

from broken.overrides import run_electing


class HastyElection(Election):
    """Has no pre-vote."""

    def pre_vote(self) -> None:
        self.request_votes()


def hears_leader(self: ElectedMember) -> bool:
    """Vote although there is a leader."""
    return False


def run(argv: list[str]) -> int:
    return run_electing(argv, election_class=HastyElection, hears_leader=hears_leader)
