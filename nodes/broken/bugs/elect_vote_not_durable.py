"""A node that is restarted has forgotten for whom it voted in its term."""

from kvstore.meta import Meta

from broken.overrides import run_electing


class VotelessMeta(Meta):
    """Reads everything but the vote."""

    def load(self) -> None:
        super().load()
        self.vote = ""


def run(argv: list[str]) -> int:
    return run_electing(argv, meta_class=VotelessMeta)
