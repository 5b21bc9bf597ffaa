"""Which node leads which term: joining, promises, promotion, fencing.

Knows other nodes; does not know clients or keys.

A term belongs to one node for ever. Nodes have slots (1 to 15, assigned by the leader), and a node
opens only terms whose number is its slot modulo 16. So two nodes never acknowledge writes in the
same term, even if they cannot reach each other. A node that has promised a term follows no leader
of a lower term, and steps down if it is that leader.

With `majority` and `all` a promotion needs the promises of a majority, each from a node that is
not ahead of the new leader. So what a majority acknowledged is never lost. The new leader then
waits until the old leader's lease has passed, so that no client reads old values there. With
`async` a promotion happens without promises, and can lose what was not copied.

Override in a changed node: `on_promise`, `fence`, `next_term`, `is_ahead`, `start`, `take_over`,
and the classes `meta_class`, `leader_class`, `follower_class`.
"""

from kvstore.connect import PeerRequest
from kvstore.errors import StartError
from kvstore.follower import Follower
from kvstore.frames import VERSION
from kvstore.leader import Leader
from kvstore.meta import Meta, new_id
from kvstore.peer_addresses import PeerAddresses, UnknownPeer
from kvstore.replies import IndependentReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from kvstore.connection import ServerConnection
    from kvstore.interfaces import Address, Members, Reply
    from kvstore.node import StoreNode

SLOTS = 16
REQUEST_TIMEOUT_S = 1.0
ANNOUNCE_EVERY_S = 1.0


class ClusterMember:
    """This node as a member of its cluster. At most one of `leader` and `follower` is set."""

    meta_class, leader_class, follower_class = Meta, Leader, Follower
    request_timeout_s = REQUEST_TIMEOUT_S

    def __init__(self, node: "StoreNode") -> None:
        self.node, self.server, self.engine = node, node.server, node.engine
        self.settings = node.settings
        self.peers = PeerAddresses(self.settings)
        self.meta = self.meta_class(self.settings.data_dir)
        self.meta.node = self.meta.node or new_id()
        self.leader: Leader | None = None
        self.follower: Follower | None = None

    # -- start -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Take the role this node was started with.

        Raises StartError if the term of another node forbids it.
        """
        if self.settings.is_leader:
            self.start_as_leader()
        if not self.node.is_leader:
            self.start_follower()

    def start_as_leader(self) -> None:
        """Lead the term of the data directory or the term of --term, if allowed."""
        meta = self.meta
        known = max(meta.term, meta.promised)
        if self.settings.term:
            self.open_chosen_term(self.settings.term, known)
        elif meta.led and meta.promised > meta.term:
            self.server.log_line(
                f"term {meta.promised} belongs to another node; "
                "this node follows and refuses writes"
            )
            self.node.is_leader = False
            self.node.leader_address = self.last_leader()
            return
        elif meta.term and not meta.led:
            raise StartError(
                f"the data directory followed term {known}: to lead from it, "
                f"give --term={known + 1} or higher, or start it as a follower and send it PROMOTE"
            )
        else:
            self.record_leadership(meta.term or 1)
        self.start_leader()

    def open_chosen_term(self, chosen: int, known: int) -> None:
        """Open the first own term from `chosen` on. Raises StartError if it is not higher."""
        if chosen <= known:
            raise StartError(
                f"--term must be higher than {known}, the highest term this data directory knows"
            )
        self.meta.slot = self.meta.slot or 1
        term = self.own_term_from(chosen)
        if term != chosen:
            self.server.log_line(
                f"term {chosen} belongs to another node; this node's next term is {term}"
            )
        self.record_leadership(term)
        self.engine.open_term(term)
        self.engine.commit()

    def record_leadership(self, term: int) -> None:
        """Remember that this node leads a term. Raises OSError."""
        meta = self.meta
        meta.cluster = meta.cluster or new_id()
        meta.slot = meta.slot or 1
        meta.term = meta.promised = term
        meta.led, meta.leader = 1, ""
        meta.mode = self.settings.replication or meta.mode or "async"
        if self.settings.replication is not None or not meta.nodes:
            meta.nodes = self.settings.nodes
        meta.members[meta.node] = (meta.slot, self.peers.own_name)
        meta.save()
        self.engine.log.term = max(self.engine.log.term, term)

    def start_leader(self) -> None:
        """Begin to serve followers."""
        self.node.is_leader, self.node.leader_address = True, None
        self.leader = self.leader_class(self.node, self)
        self.node.commit_needs_followers = self.leader.needed() > 1
        self.leader.commit()
        self.announce()

    def last_leader(self) -> "Address | None":
        """Return the address of the last known leader; None if there is none or no address."""
        if not self.meta.leader:
            return None
        try:
            return self.peers.address_of(self.meta.leader)
        except ValueError as error:
            self.server.log_line(f"the last known leader cannot be reached: {error}")
            return None

    def start_follower(self) -> None:
        """Begin to follow the last known leader, or the leader given at the start."""
        known = (self.last_leader(), self.settings.leader)
        addresses = [address for address in dict.fromkeys(known) if address is not None]
        addresses = [address for address in addresses if address != self.peers.own_address]
        if addresses and self.settings.replication != "none":
            self.node.leader_address = addresses[0]
            self.follower = self.follower_class(self.node, self, addresses)

    # -- joining ---------------------------------------------------------------------------------

    def on_follow(self, connection: "ServerConnection", words: list[str]) -> str | None:
        """Answer a node that wants to follow this node.

        Return the problem, or None if the node was admitted.
        """
        try:
            version, cluster, node_id, last_text, chain_text, promised_text, peer_name = words
            last, chain, promised = int(last_text), int(chain_text), int(promised_text)
            self.peers.address_of(peer_name)
        except UnknownPeer as error:
            return str(error)
        except ValueError:
            return "FOLLOW cannot be parsed; do the versions differ?"
        meta = self.meta
        if version != str(VERSION):
            return f"this node speaks version {VERSION} of replication, not {version}"
        if node_id == meta.node:
            return "a node cannot follow itself"
        if self.node.is_leader and promised > meta.term and cluster == meta.cluster:
            self.fence(promised, None)
        if self.leader is None:
            return f"this node does not lead; {self.leader_hint(self.node.leader_address)}"
        if meta.mode == "none":
            return "this leader does not replicate (--replication=none)"
        if cluster not in ("-", meta.cluster):
            return f"this is cluster {meta.cluster}, not {cluster}"
        slot = self.assign_slot(self.leader, node_id, peer_name)
        if slot is None:
            return f"this cluster has {len(meta.members)} nodes already"
        connection.out.append(
            f"FOLLOWED {meta.cluster} {meta.term} {slot} {meta.mode} {meta.nodes}\n".encode()
        )
        self.server.dirty.append(connection)
        self.leader.admit(connection, node_id, peer_name, last, chain)
        return None

    def assign_slot(self, leader: Leader, node_id: str, peer_name: str) -> int | None:
        """Return the slot of a member, which may be new; None if the cluster is full."""
        meta = self.meta
        slot, known_as = meta.members.get(node_id, (None, None))
        if slot is None:
            slot = self.replace_member(peer_name)
        if slot is None:
            free = sorted(set(range(1, SLOTS)) - {slot for slot, _ in meta.members.values()})
            full = meta.mode in ("majority", "all") and len(meta.members) >= meta.nodes
            if full or not free:
                return None
            slot = free[0]
        if known_as != peer_name:
            meta.members[node_id] = (slot, peer_name)
            meta.save()
            leader.send_members()
        return slot

    def replace_member(self, peer_name: str) -> int | None:
        """Remove the member with this peer name and return its slot; None if there is none.

        Its data is gone: the node there has a new node id.
        """
        for node_id, (slot, known_as) in list(self.meta.members.items()):
            if known_as == peer_name and node_id != self.meta.node:
                self.server.log_line(f"the node at {peer_name} is new; it replaces {node_id}")
                del self.meta.members[node_id]
                return slot
        return None

    def on_admitted(
        self, cluster: str, term: int, slot: int, mode: str, nodes: int, address: "Address"
    ) -> None:
        """Record that the leader admitted this node. Raises ValueError if it must not follow."""
        meta, leader = self.meta, self.peers.name_of(address)
        if meta.cluster not in ("", cluster):
            raise ValueError(f"it leads cluster {cluster}, this node belongs to {meta.cluster}")
        if term < meta.promised:
            raise ValueError(f"it leads term {term}, this node has promised {meta.promised}")
        meta.update(
            cluster=cluster,
            term=term,
            promised=term,
            led=0,
            slot=slot,
            mode=mode,
            nodes=nodes,
            leader=leader,
        )
        self.node.leader_address = address

    def remember_members(self, members: "Members") -> None:
        """Remember who belongs to the cluster."""
        if members != self.meta.members:
            self.meta.members = members
            self.meta.save()

    # -- promotion -------------------------------------------------------------------------------

    def next_term(self) -> int:
        """Return the lowest term of this node's slot that is higher than all known terms."""
        return self.own_term_from(max(self.meta.promised, self.meta.term) + 1)

    def own_term_from(self, minimum: int) -> int:
        """Return the lowest term from `minimum` on that belongs to this node's slot."""
        return minimum + (self.meta.slot - minimum) % SLOTS

    def promote(self, force: bool) -> "Reply":
        """Make this node the leader of a new term; return the reply."""
        if self.node.is_leader:
            return IndependentReply(b"OK\n")
        from kvstore.promotion import Promotion

        self.meta.slot = self.meta.slot or 1
        return Promotion(self, force).reply

    def stop_following(self, term: int) -> None:
        """Promise a term to this node itself: follow no leader of a lower term any more."""
        self.meta.promised = term
        self.meta.save()
        if self.follower is not None:
            self.follower.close()
            self.follower = None

    def take_over(self, term: int) -> None:
        """Lead a new term from now on."""
        followed = self.peers.name_of(self.node.leader_address)
        self.record_leadership(term)
        self.engine.open_term(term)
        self.engine.commit()
        self.start_leader()
        self.server.log_line(
            f"now LEADER of term {term} at index {self.engine.applied} "
            f"(followed {followed or 'no node'} before)"
        )

    def is_ahead(self, term: int, last: int) -> bool:
        """Whether this node's log ends later than a log that ends with this term and index."""
        return (self.engine.log.term, self.engine.log.last) > (term, last)

    def on_promise(self, words: list[str]) -> str | None:
        """Answer a node that wants to lead a term.

        Return the problem, or None if it has the promise.
        """
        try:
            verb, cluster, term_text, log_term_text, last_text, peer_name, needs_majority = words
            term, log_term, last = int(term_text), int(log_term_text), int(last_text)
            address = self.peers.address_of(peer_name)
        except UnknownPeer as error:
            return str(error)
        except ValueError:
            return "PROMISE cannot be parsed; do the versions differ?"
        if cluster != self.meta.cluster:
            return f"this node belongs to cluster {self.meta.cluster or '-'}, not {cluster}"
        if term <= self.meta.promised:
            return f"term {self.meta.promised} is promised already"
        if needs_majority == "1" and self.is_ahead(log_term, last):
            log = self.engine.log
            return f"this node is ahead, at index {log.last} of term {log.term}"
        if verb == "PROMISE":
            self.fence(term, address)
        return None

    def fence(self, term: int, leader: "Address | None") -> None:
        """Follow no leader of a lower term from now on; step down if this node leads such a term.

        `leader` is the leader of the term, None if it is not known.
        """
        led = self.meta.term
        self.meta.promised = max(self.meta.promised, term)
        if leader is not None:
            self.meta.leader = self.peers.name_of(leader)
            self.node.leader_address = leader
        self.meta.save()
        if self.leader is not None:
            self.step_down(self.leader, led)
        elif leader is not None and self.follower is None:
            self.start_follower()
        elif leader is not None and self.follower is not None:
            self.follower.redirect(leader)

    def step_down(self, leader: Leader, led: int) -> None:
        """A higher term exists: refuse writes, and expire the replies that wait."""
        self.node.is_leader = False
        self.leader = None
        self.server.log_line(
            f"now FOLLOWER: term {self.meta.promised} is led by "
            f"{self.meta.leader or 'another node'}; this node led {led}"
        )
        leader.close()
        self.node.expire_all_replies(
            "this write may have happened: this node is no longer the leader"
        )
        self.node.commit_needs_followers = False
        self.start_follower()

    # -- announcements ---------------------------------------------------------------------------

    def announce(self) -> None:
        """Once a second, announce this leader to the members that do not follow it."""
        if self.leader is None:
            return
        self.server.timers.after(ANNOUNCE_EVERY_S, self.announce)
        linked = {link.node_id for link in self.leader.links}
        line = f"ANNOUNCE {self.meta.cluster} {self.meta.term} {self.peers.own_name}"
        for node_id, (_, peer_name) in self.meta.members.items():
            if node_id not in linked and node_id != self.meta.node:
                self.request(peer_name, line, self.on_announce_reply)

    def request(
        self,
        peer_name: str,
        line: str,
        on_reply: "Callable[[str | None], object]",
        timeout_s: float | None = None,
    ) -> None:
        """Send one line to another node.

        Call `on_reply` with its reply, with the reason if this node has no address for it, or with
        None if it does not answer.
        """
        try:
            address = self.peers.address_of(peer_name)
        except ValueError as error:
            on_reply(str(error))
            return
        timeout_s = timeout_s or self.request_timeout_s
        PeerRequest(self.server, address, line, timeout_s, on_reply)

    def on_announce_reply(self, reply: str | None) -> None:
        """A member has answered: it may know of a higher term."""
        self.follow_hint(reply or "")

    def on_announce(self, words: list[str]) -> str | None:
        """Another node announces that it leads; return the problem, or None."""
        try:
            cluster, term, address = words[0], int(words[1]), self.peers.address_of(words[2])
        except UnknownPeer as error:
            return str(error)
        except (ValueError, IndexError):
            return "ANNOUNCE cannot be parsed; do the versions differ?"
        if cluster != self.meta.cluster:
            return f"this node belongs to cluster {self.meta.cluster or '-'}, not {cluster}"
        if term < self.meta.promised:
            is_leader = self.node.is_leader
            leader = self.peers.own_address if is_leader else self.node.leader_address
            return f"a higher term is known; {self.leader_hint(leader)}"
        self.on_leader_known(term, address)
        return None

    def leader_hint(self, leader: "Address | None") -> str:
        """Return the end of an answer that names the leader: `term=2 leader=PEER_NAME`."""
        return f"term={self.meta.promised} leader={self.peers.name_of(leader) or '-'}"

    def follow_hint(self, line: str) -> None:
        """Follow the leader that another node's answer names, if any."""
        facts = dict(word.split("=", 1) for word in line.split() if "=" in word)
        try:
            term, leader = int(facts["term"]), self.peers.address_of(facts["leader"])
        except (KeyError, ValueError):
            return
        self.on_leader_known(term, leader)

    def on_leader_known(self, term: int, leader: "Address") -> None:
        """A node leads a term: follow it if the term is higher than this node's."""
        known = term < self.meta.promised or (self.node.is_leader and term <= self.meta.term)
        if known or leader == self.peers.own_address:
            return
        if self.node.is_leader or term > self.meta.term or self.follower is None:
            self.fence(term, leader)
        elif not self.follower.linked:
            self.node.leader_address = leader
            self.follower.redirect(leader)

    # -- status ----------------------------------------------------------------------------------

    def status(self) -> "dict[str, Any]":
        """Return the part of STATUS that is about the cluster."""
        leader, follower = self.leader, self.follower
        status: dict[str, Any] = {
            "term": self.meta.term,
            "promised": self.meta.promised,
            "replication": self.meta.mode or "none",
            "nodes": self.meta.nodes,
            "cluster": self.meta.cluster or None,
            "node": self.meta.node,
        }
        if leader is not None:
            return status | {
                "committed": leader.commit_index,
                "followers": leader.status(),
                "linked": True,
                "lag": 0,
            }
        status |= {"committed": 0, "followers": [], "linked": False, "lag": None}
        if follower is not None:
            status |= {"committed": follower.commit_index, "linked": follower.linked}
            if follower.linked:
                status["lag"] = max(0, follower.leader_index - self.engine.log.last)
        return status
