"""A node votes for a candidate whose log is behind its own."""

from kvstore.elected_member import ElectedMember

from broken.overrides import losing_engine, run_electing


def is_ahead(self: ElectedMember, term: int, last: int) -> bool:
    """Compare nothing."""
    return False


def run(argv: list[str]) -> int:
    return run_electing(argv, losing_engine(), is_ahead=is_ahead)
