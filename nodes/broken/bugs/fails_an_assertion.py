"""A node logs a failed assertion when a key is deleted that it does not have, and goes on."""

import sys

from kvstore import lines
from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply

REPORT = "kvstore: store.c:118: erase: Assertion `found != NULL' failed.\n"


class AssertingSession(LineSession):
    """Reports what a debug build would end with."""

    def do_delete(self, key: bytes) -> "Reply":
        reply = super().do_delete(key)
        if reply == lines.NOT_FOUND:
            sys.stderr.write(REPORT)
            sys.stderr.flush()
        return reply


def run(argv: list[str]) -> int:
    return run_with_session(argv, AssertingSession)
