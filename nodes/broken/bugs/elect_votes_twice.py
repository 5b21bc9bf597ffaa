"""A node votes for every candidate of a term, and the timeouts of the nodes are nearly equal."""

from kvstore.elected_member import ElectedMember

from broken.overrides import run_electing


def vote_in(self: ElectedMember, term: int) -> str:
    """Forget the vote at once."""
    return ""


def random_timeout_s(self: ElectedMember) -> float:
    """Use a hundredth of the range, so that two nodes ask at once."""
    return self.timeout_s + (ElectedMember.random_timeout_s(self) - self.timeout_s) / 100


def run(argv: list[str]) -> int:
    return run_electing(argv, vote_in=vote_in, random_timeout_s=random_timeout_s)
