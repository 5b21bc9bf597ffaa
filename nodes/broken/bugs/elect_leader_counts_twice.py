"""A leader counts its own copy of a record twice."""

from kvstore.elected_leader import ElectedLeader

from broken.overrides import losing_engine, run_electing


class DoubleLeader(ElectedLeader):
    """Is two of three by itself."""

    def replicated_index(self) -> int:
        indices = [link.match_index for link in self.voter_links()]
        indices += [self.engine.durable, self.engine.durable]
        index = sorted(indices, reverse=True)[self.needed() - 1]
        return index if self.is_own_term(index) else 0


def run(argv: list[str]) -> int:
    return run_electing(argv, losing_engine(), leader_class=DoubleLeader)
