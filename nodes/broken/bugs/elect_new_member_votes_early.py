"""A node votes before it is a member: every node of --peers is asked for its vote."""

from kvstore.elected_member import ElectedMember
from kvstore.election import Election

from broken.overrides import run_electing


class WideElection(Election):
    """Asks every node that it can reach."""

    def asked(self) -> list[str]:
        return sorted({*self.member.voters, *self.member.settings.peers})


def refuse_vote(self: ElectedMember, term: int, peer_name: str, is_transfer: bool) -> str | None:
    """Ask not whether this node is a member."""
    own = self.peers.own_name
    members, self.voters = self.voters, [*self.voters, own]
    try:
        return ElectedMember.refuse_vote(self, term, peer_name, is_transfer)
    finally:
        self.voters = members


def run(argv: list[str]) -> int:
    return run_electing(argv, election_class=WideElection, refuse_vote=refuse_vote)
