"""Where other nodes are, in this node's own view. Pure: values in, values out; dials nobody.

Nodes speak of each other by a name where they have one (`--name`), else by the address they listen on. What a name means is
each node's own affair: it goes to the address that `--peers` gave for that name, so a road that was laid for one node only
(a tunnel, a proxy) is used for as long as that node lives, whoever leads.
"""

from kvstore.meta import address_of, address_text


class UnknownPeer(ValueError):
    """A name that this node was not told the address of; the text is one line."""


class Peers:
    """The other nodes by name, and this node as it calls itself (`me`)."""

    def __init__(self, settings):
        self.mine = (settings.host, settings.port)
        self.me = settings.name or address_text(self.mine)
        self.places = {**settings.peers, self.me: self.mine}
        self.names = {address: name for name, address in self.places.items()}

    def address(self, place):
        """Return where this node finds another, (host, port), "" is None. Raises UnknownPeer, ValueError."""
        if place in self.places:
            return self.places[place]
        if place and ":" not in place:
            raise UnknownPeer(f"nobody told this node where {place[:80]!r} is (--peers)")
        return address_of(place)

    def place(self, address):
        """Return what other nodes understand by an address of this node's view, "" for None."""
        return self.names.get(address) or address_text(address)
