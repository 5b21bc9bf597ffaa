"""A leader that reaches no majority continues to answer reads."""

from kvstore.elected_leader import ElectedLeader

from broken.overrides import run_electing


class ConfidentLeader(ElectedLeader):
    """Believes that no other node can lead."""

    def holds_lease(self) -> bool:
        return True

    def check_quorum(self) -> None:
        """Check nothing."""


def run(argv: list[str]) -> int:
    return run_electing(argv, leader_class=ConfidentLeader)
