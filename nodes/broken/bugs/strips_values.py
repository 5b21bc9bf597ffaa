"""A node takes blanks at the ends of a value away, as a parser that splits at blanks does."""

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply


class StrippingSession(LineSession):
    """Stores the value without blanks around it."""

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        return super().do_put(key, value.strip())


def run(argv: list[str]) -> int:
    return run_with_session(argv, StrippingSession)
