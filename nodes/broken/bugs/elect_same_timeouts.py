"""The election timeouts of all nodes end at the same moment."""

import os
from pathlib import Path
from time import monotonic

from kvstore.elected_member import ElectedMember
from kvstore.election import Election

from broken.overrides import run_electing

# the timeouts end at multiples of so many of them after the start of the process that started all
PERIOD_TIMEOUTS = 12
# between the vote for itself and the requests to others
ASK_AFTER_S = 0.4


class SimultaneousElection(Election):
    """Votes for itself at once, without a pre-vote, and asks a little later."""

    def pre_vote(self) -> None:
        self.request_votes()

    def ask(self, verb: str) -> None:
        self.member.server.timers.after(ASK_AFTER_S, lambda: self.ask_now(verb))

    def ask_now(self, verb: str) -> None:
        """Ask, if this is still of use."""
        if self.is_current():
            super().ask(verb)


def random_timeout_s(self: ElectedMember) -> float:
    """Return the time until the next common moment."""
    now_s, period_s = monotonic() - parents_start_s(), PERIOD_TIMEOUTS * self.timeout_s
    return ((now_s + self.timeout_s) // period_s + 1) * period_s - now_s


def parents_start_s() -> float:
    """Return when the process that started this node began, by the clock of `monotonic`."""
    fields = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[19]) / os.sysconf("SC_CLK_TCK")


def retry_soon(self: ElectedMember) -> None:
    """Wait for the next common moment, too."""
    self.restart_timeout()


def run(argv: list[str]) -> int:
    return run_electing(
        argv,
        election_class=SimultaneousElection,
        random_timeout_s=random_timeout_s,
        retry_soon=retry_soon,
    )
