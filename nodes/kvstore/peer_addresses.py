"""The addresses at which this node reaches the others. Pure: values in, values out.

The peer name of a node is its `--name` or, without one, the address on which it listens. Nodes use
peer names when they write of each other. Each node resolves a peer name by itself: it uses the
address that `--peers` gives for the name. So a route that exists for one node only (a tunnel, a
proxy) stays in use when another node becomes the leader.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.flags import Settings
    from kvstore.interfaces import Address


class UnknownPeer(ValueError):
    """A peer name for which this node has no address. The text is one line."""


class PeerAddresses:
    """The other nodes by peer name, and this node's own name and address."""

    def __init__(self, settings: "Settings") -> None:
        self.own_address: Address = (settings.host, settings.port)
        self.own_name = settings.name or format_address(self.own_address)
        self.addresses = {**settings.peers, self.own_name: self.own_address}
        self.names = {address: name for name, address in self.addresses.items()}

    def add(self, peer_name: str, address: "Address") -> None:
        """Use this address for a name that has none."""
        if peer_name not in self.addresses:
            self.addresses[peer_name] = address
            self.names[address] = peer_name

    def address_of(self, peer_name: str) -> "Address":
        """Return where this node reaches another. Raises UnknownPeer, ValueError."""
        if peer_name in self.addresses:
            return self.addresses[peer_name]
        if peer_name and ":" not in peer_name:
            raise UnknownPeer(f"this node has no address for {peer_name[:80]!r} in its --peers")
        return parse_address(peer_name)

    def name_of(self, address: "Address | None") -> str:
        """Return the peer name for an address at which this node reaches another, "" for None."""
        if address is None:
            return ""
        return self.names.get(address) or format_address(address)


def format_address(address: "Address") -> str:
    """Return "host:port"."""
    return f"{address[0]}:{address[1]}"


def parse_address(text: str) -> "Address":
    """Return (host, port) of "host:port"; raises ValueError."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(f"{text[:80]!r} is not an address")
    return host, int(port)
