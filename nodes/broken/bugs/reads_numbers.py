"""A node reads a value that looks like a number as one, and gives back the number."""

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply


class NumberSession(LineSession):
    """Stores `7` for `007`."""

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        return super().do_put(key, b"%d" % int(value) if value.isdigit() else value)


def run(argv: list[str]) -> int:
    return run_with_session(argv, NumberSession)
