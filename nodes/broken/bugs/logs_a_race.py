"""A node's sanitizer reports a data race when a value is written; every answer is right."""

import sys

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply

REPORT = """\
==================
WARNING: ThreadSanitizer: data race (pid=4127)
  Write of size 8 at 0x7b0c00000010 by thread T2:
    #0 Store::put(std::string, std::string) store.cpp:71
  Previous read of size 8 at 0x7b0c00000010 by thread T1:
    #0 Store::get(std::string) store.cpp:64
SUMMARY: ThreadSanitizer: data race store.cpp:71 in Store::put
==================
"""


class RacingSession(LineSession):
    """Prints the report with every put that is not refused."""

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        if self.node.refusal() is None:
            sys.stderr.write(REPORT)
            sys.stderr.flush()
        return super().do_put(key, value)


def run(argv: list[str]) -> int:
    return run_with_session(argv, RacingSession)
