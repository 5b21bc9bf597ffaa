"""A follower refuses GET as it refuses writes."""

from kvstore.line_session import LineSession

from broken.overrides import refuse_always, run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply


class RefusingReadSession(LineSession):
    """Serves reads on the leader only."""

    def do_get(self, key: bytes) -> "Reply":
        return super().do_get(key) if self.node.is_leader else refuse_always(self, "GET", key)


def run(argv: list[str]) -> int:
    return run_with_session(argv, RefusingReadSession)
