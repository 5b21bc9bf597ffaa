"""A node that was removed is asked for its vote, and gives it."""

from kvstore.elected_member import ElectedMember
from kvstore.election import Election

from broken.overrides import run_electing


class OldElection(Election):
    """Asks the first members, whoever they are now."""

    def asked(self) -> list[str]:
        return sorted({*self.member.voters, *self.member.settings.members})


def is_voter(self: ElectedMember) -> bool:
    """Vote as long as this node was a member once."""
    return self.peers.own_name in {*self.voters, *self.settings.members}


def run(argv: list[str]) -> int:
    return run_electing(argv, election_class=OldElection, is_voter=is_voter)
