"""A node that is restarted begins with term 0."""

from kvstore.meta import Meta

from broken.overrides import run_electing


class TermlessMeta(Meta):
    """Reads everything but the term and the vote in it."""

    def load(self) -> None:
        super().load()
        self.term = self.promised = 0
        self.vote = ""


def run(argv: list[str]) -> int:
    return run_electing(argv, meta_class=TermlessMeta)
