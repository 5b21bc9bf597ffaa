"""The configuration of a cluster that elects, and one change of it. elected_member owns both.

A configuration is a command of the log, and takes effect when it is appended, not when it is
committed. One node is added or removed at a time, so the majorities of two configurations that
follow each other always share a node (section 4.1 of Ongaro's dissertation).
"""

from kvstore import resp
from kvstore.replies import DeferredReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Address


class Change:
    """A change under way. `index`: of its configuration in the log, None until it is appended.
    `target`: a node that is added must have the log up to here first.
    """

    def __init__(self, peer_name: str, members: "dict[str, str]", target: int) -> None:
        self.peer_name = peer_name
        self.members = members
        self.target = target
        self.index: int | None = None
        self.reply = DeferredReply()


def encode_command(members: "dict[str, str]") -> bytes:
    """Return the command of the log for {name: address, "" if every node is given it}."""
    text = encode(members).encode()
    return b"*2\r\n$7\r\nMEMBERS\r\n$%d\r\n%b\r\n" % (len(text), text)


def decode_command(payload: bytes) -> str:
    """Return the text of a configuration from the payload of its record."""
    requests, _, _ = resp.decode(payload)
    return requests[0][1].decode("ascii", "replace")


def encode(members: "dict[str, str]") -> str:
    """Return `n1,n2,n4=HOST:PORT`."""
    return ",".join(
        f"{name}={address}" if address else name for name, address in sorted(members.items())
    )


def decode(text: str) -> "dict[str, str]":
    """Return {name: address, "" without one}."""
    members = {}
    for word in text.split(","):
        name, _, address = word.partition("=")
        members[name] = address
    return members


def parse_address(text: str) -> "Address | None":
    """Return (host, port) of HOST:PORT, None for what is no address."""
    from kvstore import peer_addresses

    try:
        return peer_addresses.parse_address(text)
    except ValueError:
        return None
