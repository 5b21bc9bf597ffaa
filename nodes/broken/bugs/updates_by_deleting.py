"""The leader overwrites a value by deleting it first: for a moment the key does not exist."""

import time

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply

GAP_S = 0.04


class TwoStepPutSession(LineSession):
    """Writes two records for an overwrite: a delete and a put."""

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        if self.node.is_leader and self.node.get(key) is not None:
            super().do_delete(key)
            self.node.commit()
            time.sleep(GAP_S)
        return super().do_put(key, value)


def run(argv: list[str]) -> int:
    return run_with_session(argv, TwoStepPutSession)
