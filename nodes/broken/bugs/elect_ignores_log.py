"""A node votes for a candidate whose log is behind its own; one that gets no votes asks at once."""

from time import monotonic

from kvstore.elected_member import ElectedMember

from broken.overrides import losing_engine, run_electing

ASK_AGAIN_S = 0.02


def is_ahead(self: ElectedMember, term: int, last: int) -> bool:
    """Compare nothing."""
    return False


def retry_soon(self: ElectedMember) -> None:
    """Ask again at once."""
    self.deadline_s = monotonic() + ASK_AGAIN_S
    self.server.timers.after(ASK_AGAIN_S, self.check_timeout)


def run(argv: list[str]) -> int:
    return run_electing(argv, losing_engine(), is_ahead=is_ahead, retry_soon=retry_soon)
