"""A follower takes records from each node that says it leads, of whatever term."""

from kvstore.elected_member import ElectedMember

from broken.overrides import losing_engine, run_electing

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.interfaces import Address


def on_announce(self: ElectedMember, words: list[str]) -> str | None:
    """Follow the node that announces itself, unless this node leads."""
    if self.leader is None:
        leader = self.peers.address_of(words[2])
        if self.election is not None:
            self.election.end()
        if self.follower is None:
            self.follower = self.follower_class(self.node, self, [leader])
        elif self.follower.address != leader:
            self.follower.redirect(leader)
        self.on_leader_heard(leader)
    return None


def fence(self: ElectedMember, term: int, leader: "Address | None") -> None:
    """Ignore that a follower knows a higher term."""


def follow_hint(self: ElectedMember, line: str) -> None:
    """Ignore what another node says of terms."""


def on_admitted(
    self: ElectedMember,
    cluster: str,
    term: int,
    slot: int,
    mode: str,
    nodes: int,
    address: "Address",
) -> None:
    """Follow, whatever the term."""
    self.on_leader_heard(address)


def run(argv: list[str]) -> int:
    return run_electing(
        argv,
        losing_engine(),
        on_announce=on_announce,
        fence=fence,
        follow_hint=follow_hint,
        on_admitted=on_admitted,
    )
