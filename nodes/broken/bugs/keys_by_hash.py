"""A node finds keys by their CRC32 alone: of two keys that collide, the later one wins."""

from binascii import crc32

from kvstore.line_session import LineSession

from broken.overrides import run_with_session

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Reply


class HashingSession(LineSession):
    """Stores values under the checksum of their key."""

    def do_put(self, key: bytes, value: bytes) -> "Reply":
        return super().do_put(b"%08x" % crc32(key), value)

    def do_get(self, key: bytes) -> "Reply":
        return super().do_get(b"%08x" % crc32(key))


def run(argv: list[str]) -> int:
    return run_with_session(argv, HashingSession)
