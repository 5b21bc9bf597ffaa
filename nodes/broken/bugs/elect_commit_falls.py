"""A node that is restarted reports the end of its snapshot as its commit index."""

from kvstore.committed_engine import CommittedEngine

from broken.overrides import run_electing


class ForgetfulEngine(CommittedEngine):
    """Takes what it has applied for what is committed."""

    def load(self) -> None:
        super().load()
        self.commit_is_known = True


def run(argv: list[str]) -> int:
    return run_electing(argv, ForgetfulEngine)
