"""This node as a member of a cluster that chooses its leader: Raft (Ongaro and Ousterhout, 2014).

Knows other nodes; does not know clients or keys. A term has at most one leader: each node gives one
vote a term, and the vote is on its disk before the answer leaves. A vote goes only to a candidate
whose log is not behind, so a leader has every committed record. A node that heard from a leader
within the election timeout refuses to vote; this is what makes the leader's lease safe.

The messages are those of nodes with fixed roles: PROMISE ASK is a pre-vote, PROMISE PROMISE is a
request for a vote, and ANNOUNCE tells who leads.

Override in a changed node: `on_promise`, `enter_term`, `is_ahead`, `is_voter`, `random_timeout_s`,
`on_leader_known`, `election_class`, and the classes of ClusterMember.
"""

import posix
from time import monotonic
from zlib import crc32

from kvstore import membership
from kvstore.cluster_member import ClusterMember
from kvstore.elected_follower import ElectedFollower
from kvstore.elected_leader import ElectedLeader
from kvstore.election import Election
from kvstore.errors import DiskFullError, StartError
from kvstore.flags import parse_name
from kvstore.leader import Leader
from kvstore.lines import encode_error
from kvstore.peer_addresses import UnknownPeer, format_address
from kvstore.replies import DeferredReply, IndependentReply
from kvstore.segment import DISK_FULL_ERRNOS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from kvstore.committed_engine import CommittedEngine
    from kvstore.elected_node import ElectedNode
    from kvstore.interfaces import Address, Reply
    from kvstore.leader import FollowerLink

RETRY_EARLIER = 0.75
# a node that is added must have the leader's log within this time
CATCH_UP_S = 5.0
STEPPED_DOWN = "this write may have happened: this node is no longer the leader"


class Transfer:
    """A transfer of leadership: the leader waits until `peer_name` has its whole log."""

    def __init__(self, peer_name: str) -> None:
        self.peer_name = peer_name
        self.reply = DeferredReply()


class ElectedMember(ClusterMember):
    """`members`: {name: address} of the configuration in effect, that of index `members_index`.
    `voters`: their names. `heard_s`: when this node last heard from a leader.
    `deadline_s`: when it asks for votes, if it hears nothing. `election`: its own, if it asks.
    `promised` and `term` in `meta` are the current term.
    """

    leader_class, follower_class = ElectedLeader, ElectedFollower  # type: ignore[assignment]
    election_class = Election
    node: "ElectedNode"
    engine: "CommittedEngine"
    leader: "ElectedLeader | None"

    def __init__(self, node: "ElectedNode") -> None:
        super().__init__(node)
        self.timeout_s = self.request_timeout_s = self.settings.election_timeout
        self.members_index = 0
        self.members = dict.fromkeys(self.settings.members, "")
        self.voters = list(self.members)
        self.change: membership.Change | None = None
        self.election: Election | None = None
        self.transfer: Transfer | None = None
        self.announcing: set[str] = set()
        self.leader_name = ""
        # it may have heard from a leader just before it was restarted
        self.heard_s = monotonic()
        self.deadline_s = self.heard_s + self.random_timeout_s()

    # -- start and timeouts ----------------------------------------------------------------------

    def start(self) -> None:
        """Begin as a follower. Raises StartError, OSError."""
        meta, cluster = self.meta, cluster_of(self.settings.members)
        if meta.cluster not in ("", cluster):
            raise StartError(
                f"the data directory belongs to cluster {meta.cluster}, and the --members "
                f"{','.join(self.settings.members)} are cluster {cluster}"
            )
        self.load_configuration()
        self.engine.on_configuration = self.on_configuration
        self.engine.on_snapshot = self.keep_configuration
        meta.update(
            cluster=cluster, mode="majority", led=0, nodes=len(self.voters), term=meta.promised
        )
        if not self.is_voter():
            self.on_timeout()
        self.wait_for_timeout()

    def random_timeout_s(self) -> float:
        """Return an election timeout: random, so that seldom two nodes ask at once."""
        return self.timeout_s * (1 + int.from_bytes(posix.urandom(4), "little") / 2**32)

    def wait_for_timeout(self) -> None:
        """Check at the end of each election timeout whether a leader was heard."""
        self.check_timeout()
        wait_s = max(self.deadline_s - monotonic(), 0.001)
        self.server.timers.after(wait_s, self.wait_for_timeout)

    def check_timeout(self) -> None:
        """Ask for votes if this node has heard of no leader for its election timeout."""
        if monotonic() >= self.deadline_s:
            self.restart_timeout()
            if self.leader is None and self.election is None:
                self.on_timeout()

    def on_timeout(self) -> None:
        """This node has heard of no leader for its election timeout."""
        if self.is_voter():
            self.set_leader(None)
            self.election = self.election_class(self, monotonic() - self.heard_s)
            return
        # no leader announces itself to a node that is no member: it looks for one
        others = [a for a in self.peers.addresses.values() if a != self.peers.own_address]
        if self.follower is None:
            self.follower = self.follower_class(self.node, self, others)
        else:
            self.follower.addresses = list(dict.fromkeys([*self.follower.addresses, *others]))

    def restart_timeout(self) -> None:
        """Wait for a whole election timeout from now on."""
        self.deadline_s = monotonic() + self.random_timeout_s()

    def retry_soon(self) -> None:
        """Ask again before a whole election timeout: a pre-vote that failed has changed nothing."""
        wait_s = self.random_timeout_s() - RETRY_EARLIER * self.timeout_s
        self.deadline_s = monotonic() + wait_s
        # `wait_for_timeout` waits for the end of the timeout before this one
        self.server.timers.after(wait_s, self.check_timeout)

    def on_leader_heard(self, leader: "Address") -> None:
        """The leader of the current term has sent something."""
        self.heard_s = monotonic()
        self.restart_timeout()
        if self.node.leader_address != leader:
            self.set_leader(leader)
            term, name = self.meta.promised, self.leader_name
            self.server.log_line(f"now FOLLOWER of term {term}: {name} leads")

    @property
    def is_candidate(self) -> bool:
        """Whether this node asks for votes now, after the pre-vote."""
        return self.election is not None and self.election.verb == "PROMISE"

    def is_voter(self) -> bool:
        """Whether this node is a member, so that it votes."""
        return self.peers.own_name in self.voters

    # -- terms and votes -------------------------------------------------------------------------

    def enter_term(self, term: int, vote: str, reason: str) -> None:
        """Make a term the current term and give the vote in it, "" for none; on disk, then logged.

        A leader of an older term steps down, a follower of one stops following. Raises
        DiskFullError, nothing is changed then; and OSError.
        """
        before = (self.meta.promised, self.meta.vote)
        self.save(promised=term, term=term, vote=vote)
        if term > before[0]:
            self.server.log_line(f"term {term}: was {before[0]} ({reason})")
            self.leave_leader(before[0], reason)
        if vote and (term, vote) != before:
            self.server.log_line(f"vote in term {term}: for {vote} ({reason})")

    def save(self, **facts: str | int) -> None:
        """Write these facts to the disk; raises DiskFullError, nothing is changed then; OSError."""
        try:
            self.meta.update(**facts)
        except OSError as error:
            if error.errno not in DISK_FULL_ERRNOS:
                raise
            names = " and ".join(facts)
            raise DiskFullError(f"disk full: {names} cannot be recorded") from error

    def leave_leader(self, led: int, reason: str) -> None:
        """The leader of this term, if there is one, is no longer this node's."""
        if self.election is not None and not self.election.is_current():
            self.election.end()
        if self.leader is not None:
            self.depose(self.leader, led, reason)
        if self.follower is not None:
            self.follower.close()
            self.follower = None
        self.set_leader(None)

    def set_leader(self, address: "Address | None") -> None:
        """Remember who leads the current term; None if that is not known."""
        self.node.leader_address = address
        self.leader_name = self.peers.name_of(address)

    def resign(self, reason: str) -> None:
        """Lead no more in the current term."""
        if self.leader is not None:
            self.depose(self.leader, self.meta.promised, reason)

    def depose(self, leader: Leader, led: int, reason: str) -> None:
        """Refuse writes, expire the replies that wait, go back to the committed state."""
        self.node.is_leader = False
        self.leader = None
        self.set_leader(None)
        self.server.log_line(
            f"now FOLLOWER of term {self.meta.promised}: {reason} (led term {led})"
        )
        leader.close()
        self.end_transfer(f"this node does not lead any more: {reason}")
        appended = self.change is not None and self.change.index is not None
        outcome = "unknown: this change may have happened" if appended else "not ready"
        self.end_change(f"{outcome}: this node is no longer the leader")
        self.node.expire_all_replies(STEPPED_DOWN)
        self.engine.stop_leading()
        self.restart_timeout()

    def fence(self, term: int, leader: "Address | None") -> None:
        """Another node knows a higher term."""
        self.enter_term(term, "", "another node is in this term")

    def on_promise(self, words: list[str]) -> str | None:
        """Answer a candidate, or a node that would be one; return why it has no vote, or None."""
        try:
            verb, cluster, term_text, log_term_text, last_text, peer_name, how = words
            term, log_term, last = int(term_text), int(log_term_text), int(last_text)
            self.peers.address_of(peer_name)
        except UnknownPeer as error:
            return str(error)
        except ValueError:
            return "PROMISE cannot be parsed; do the versions differ?"
        if cluster != self.meta.cluster:
            return f"this node belongs to cluster {self.meta.cluster}, not {cluster}"
        problem = self.refuse_vote(term, peer_name, how == "transfer")
        if problem is not None:
            return problem
        if self.leader is not None:
            self.engine.commit()
        log = self.engine.log
        if self.is_ahead(log_term, last):
            if verb == "PROMISE":
                self.enter_term(term, self.vote_in(term), f"{peer_name} asks for votes")
            return f"this node is ahead, at index {log.last} of term {log.term}"
        if verb == "PROMISE":
            own = f"this node's at {log.last} of {log.term}"
            self.enter_term(term, peer_name, f"its log ends at {last} of term {log_term}, {own}")
            self.restart_timeout()
        return None

    def vote_in(self, term: int) -> str:
        """Return for whom this node voted in a term, "" for nobody."""
        return self.meta.vote if term == self.meta.promised else ""

    def refuse_vote(self, term: int, peer_name: str, is_transfer: bool) -> str | None:
        """Return why a candidate gets no vote, whatever its log holds; None if it may get one."""
        if not self.is_voter():
            return "this node is no member and does not vote"
        if peer_name not in self.voters:
            return f"{peer_name} is no member; {self.hint()}"
        meta = self.meta
        if term < meta.promised or self.vote_in(term) not in ("", peer_name):
            voted = f"voted for {meta.vote}" if meta.vote else "known"
            return f"term {meta.promised} is {voted} here; {self.hint()}"
        if not is_transfer and self.hears_leader():
            return f"there is a leader; {self.hint()}"
        return None

    def hears_leader(self) -> bool:
        """Whether there may be a leader with a lease: this node, or one it heard from lately."""
        if self.leader is not None:
            return self.leader.holds_lease()
        return monotonic() < self.heard_s + self.timeout_s

    def hint(self) -> str:
        """Return the end of an answer: `term=2 leader=PEER_NAME`."""
        own = self.peers.own_address if self.leader is not None else self.node.leader_address
        return self.leader_hint(own)

    def take_over(self, term: int, voters: str = "") -> None:
        """Lead a term from now on: this node has the votes of a majority. Raises OSError."""
        # what clients read in this turn was a follower's state
        self.node.hide_values(self.server.dirty, "this node has just become the leader")
        self.engine.lead()
        try:
            self.engine.open_term(term)
        except DiskFullError as error:
            self.server.log_line(f"cannot lead term {term}: {error}")
            self.engine.stop_leading()
            return
        self.engine.commit()
        index = self.engine.log.last
        self.node.is_leader, self.node.leader_address = True, None
        self.leader_name = self.peers.own_name
        self.server.log_line(f"now LEADER of term {term} at index {index} (votes: {voters})")
        self.leader = self.leader_class(self.node, self, index)
        self.leader.commit()
        self.announce()

    # -- who leads -------------------------------------------------------------------------------

    def announce(self) -> None:
        """Announce this leader to the members without a link, one request at a time to each."""
        leader = self.leader
        if leader is None:
            return
        linked = {link.peer_name for link in leader.links} | {self.peers.own_name}
        line = f"ANNOUNCE {self.meta.cluster} {self.meta.promised} {self.peers.own_name}"
        for peer_name in self.voters:
            if peer_name not in linked and peer_name not in self.announcing:
                self.announce_to(peer_name, line)

    def announce_to(self, peer_name: str, line: str) -> None:
        """Announce this leader to one member."""
        self.announcing.add(peer_name)

        def on_reply(reply: str | None) -> None:
            self.announcing.discard(peer_name)
            self.on_announce_reply(reply)

        self.request(peer_name, line, on_reply)

    def on_announce(self, words: list[str]) -> str | None:
        """Another node announces that it leads; return the problem, or None."""
        problem = super().on_announce(words)
        if problem is None and self.leader is None:
            if self.election is not None:
                self.election.end()
            self.on_leader_heard(self.peers.address_of(words[2]))
        return problem

    def follow_hint(self, line: str) -> None:
        """Learn a higher term, and the leader, from another node's answer."""
        try:
            self.learn(line)
        except DiskFullError as error:
            self.server.log_line(str(error))

    def learn(self, line: str) -> None:
        """As `follow_hint`. Raises DiskFullError, OSError."""
        facts = dict(word.split("=", 1) for word in line.split() if "=" in word)
        term = facts.get("term", "")
        if term.isascii() and term.isdigit() and int(term) > self.meta.promised:
            self.enter_term(int(term), "", "another node is in this term")
        if self.election is None:
            super().follow_hint(line)

    def on_leader_known(self, term: int, leader: "Address") -> None:
        """A node leads a term: follow it, unless the term is over."""
        name = self.peers.name_of(leader)
        if term < self.meta.promised or self.leader is not None or leader == self.peers.own_address:
            return
        if term > self.meta.promised:
            self.enter_term(term, "", f"{name} leads")
        if self.follower is None:
            self.follower = self.follower_class(self.node, self, [leader])
        elif not self.follower.linked or self.follower.address != leader:
            self.follower.redirect(leader)

    def assign_slot(self, leader: Leader, node_id: str, peer_name: str) -> int | None:
        """Every node of the cluster may follow; only the copies of members count."""
        return 0

    def on_admitted(
        self, cluster: str, term: int, slot: int, mode: str, nodes: int, address: "Address"
    ) -> None:
        """A leader admitted this node. Raises ValueError if it must not follow."""
        if self.meta.cluster != cluster:
            raise ValueError(f"it leads cluster {cluster}, this node is of {self.meta.cluster}")
        if term < self.meta.promised:
            raise ValueError(f"it leads term {term}, this node knows {self.meta.promised}")
        if term > self.meta.promised:
            # it stays connected, as in `enter_term` a follower does not
            before = self.meta.promised
            self.save(promised=term, term=term, vote="")
            name = self.peers.name_of(address)
            self.server.log_line(f"term {term}: was {before} ({name} leads)")
        if self.election is not None:
            self.election.end()
        self.on_leader_heard(address)

    # -- transfer of leadership ------------------------------------------------------------------

    def promote(self, force: bool) -> "Reply":
        """Ask the leader to transfer its leadership to this node; return the reply."""
        if self.leader is not None:
            return IndependentReply(b"OK\n")
        reply = DeferredReply()
        if not self.is_voter():
            reply.fill(encode_error("not ready: this node is no member"))
        elif self.election is not None:
            reply.fill(encode_error("not ready: this node asks for votes already"))
        elif not self.leader_name:
            self.election = self.election_class(self, monotonic() - self.heard_s, reply)
        else:
            term = self.meta.promised
            line = f"TRANSFER {self.meta.cluster} {term} {self.peers.own_name}"
            self.request(
                self.leader_name, line, lambda text: self.on_transferred(term, text, reply)
            )
        return reply

    def on_transferred(self, term: int, text: str | None, reply: DeferredReply) -> None:
        """The leader of `term` has answered: if it has stepped down, ask for votes at once."""
        if text != "OK":
            reply.fill(encode_error(f"not ready: the leader answered {text or 'nothing'}"))
        elif term != self.meta.promised or self.election is not None or self.leader is not None:
            reply.fill(encode_error(f"not ready: term {self.meta.promised} has begun meanwhile"))
        else:
            self.election = self.election_class(self, 0.0, reply, is_transfer=True)

    def on_transfer(self, words: list[str]) -> "Reply":
        """A follower asks for the leadership; the reply comes after this node has stepped down."""
        if len(words) != 3:
            return IndependentReply(
                encode_error("TRANSFER cannot be parsed; do the versions differ?")
            )
        cluster, term, peer_name = words
        leader = self.leader
        if leader is None or cluster != self.meta.cluster or term != str(self.meta.promised):
            return IndependentReply(encode_error(f"this node does not lead that; {self.hint()}"))
        if self.transfer is not None:
            return IndependentReply(encode_error(f"{self.transfer.peer_name} takes over already"))
        links = [link for link in leader.voter_links() if link.peer_name == peer_name]
        if not links:
            return IndependentReply(encode_error(f"{peer_name} is no member that follows"))
        transfer = self.transfer = Transfer(peer_name)
        self.server.log_line(f"leadership of term {term} is being transferred to {peer_name}")
        self.server.timers.after(self.timeout_s, lambda: self.expire_transfer(transfer))
        self.server.timers.after(0.0, lambda: self.on_acknowledged(links[0]))
        return transfer.reply

    def on_acknowledged(self, link: "FollowerLink") -> None:
        """A follower has more than before: the one that takes over may have everything."""
        transfer = self.transfer
        change = self.change
        if change is not None and link.peer_name == change.peer_name:
            self.append_change(change)
        if transfer is None or self.leader is None or link.peer_name != transfer.peer_name:
            return
        last = self.engine.log.last
        if not self.engine.pending and min(link.match_index, self.leader.commit_index) >= last:
            self.transfer = None
            self.resign(f"{transfer.peer_name} takes over")
            transfer.reply.fill(b"OK\n")

    def expire_transfer(self, transfer: Transfer) -> None:
        """Give up a transfer that takes too long."""
        if self.transfer is transfer:
            self.end_transfer(f"{transfer.peer_name} did not catch up in time")

    def end_transfer(self, reason: str) -> None:
        """Give up a transfer that is under way."""
        transfer, self.transfer = self.transfer, None
        if transfer is not None:
            self.server.log_line(f"no transfer to {transfer.peer_name}: {reason}")
            transfer.reply.fill(encode_error(f"not ready: {reason}"))

    # -- members ---------------------------------------------------------------------------------

    def newest_configuration(self, up_to: int | None = None) -> tuple[int, str]:
        """Return (index, members) of the newest configuration, of the log or before it."""
        index, _, text = self.meta.configuration.partition(":")
        first = membership.encode(dict.fromkeys(self.settings.members, ""))
        known = {int(index or 0): text or first} | self.engine.configurations
        newest = max(i for i in known if up_to is None or i <= up_to)
        return newest, known[newest]

    def load_configuration(self) -> bool:
        """Make the newest configuration that of this node; return whether it is another one."""
        index, text = self.newest_configuration()
        if index == self.members_index and membership.decode(text) == self.members:
            return False
        self.members_index, self.members = index, membership.decode(text)
        self.voters = list(self.members)
        for name, address_text in self.members.items():
            address = membership.parse_address(address_text)
            if address is not None:
                self.peers.add(name, address)
        return True

    def on_configuration(self) -> None:
        """The log has another configuration: it is in effect from now on."""
        if self.load_configuration():
            names = ", ".join(self.voters)
            self.server.log_line(f"members at index {self.members_index}: {names}")

    def keep_configuration(self, snapshot_index: int) -> None:
        """A snapshot replaces the log up to here: remember its configuration.

        Raises DiskFullError, OSError.
        """
        index, text = self.newest_configuration(snapshot_index)
        if index:
            self.save(configuration=f"{index}:{text}")
            if self.leader is not None:
                self.leader.send_members()

    def remember_configuration(self, text: str) -> None:
        """Remember what a leader's snapshot has replaced.

        Raises ValueError, DiskFullError, OSError.
        """
        index = int(text.partition(":")[0])
        if index > int(self.meta.configuration.partition(":")[0] or 0):
            self.save(configuration=text)
            self.on_configuration()

    def change_members(self, action: str, peer_name: str, address: str) -> "Reply":
        """Begin to add or to remove a member, at the leader; return the reply."""
        problem = self.refuse_change(action, peer_name, address)
        if problem is not None:
            return IndependentReply(encode_error(problem))
        members, last = dict(self.members), self.engine.log.last + self.engine.pending_count
        if action == "ADD":
            if address:
                self.peers.add(peer_name, self.peers.address_of(address))
            members[peer_name] = format_address(self.peers.address_of(peer_name))
        else:
            del members[peer_name]
            last = 0
        change = self.change = membership.Change(peer_name, members, last)
        self.server.timers.after(CATCH_UP_S, lambda: self.expire_change(change, appended=False))
        self.server.timers.after(0.0, lambda: self.append_change(change))
        return change.reply

    def refuse_change(self, action: str, peer_name: str, address: str) -> str | None:
        """Return why the members cannot be changed like this now, or None."""
        try:
            parse_name(peer_name, "name")
        except StartError:
            return f"{peer_name[:80]!r} is not a name"
        if action == "ADD" and peer_name in self.voters:
            return f"{peer_name} is a member already"
        if action == "REMOVE" and peer_name not in self.voters:
            return f"{peer_name} is no member"
        if action == "REMOVE" and len(self.voters) == 1:
            return "the last member cannot be removed"
        if address and membership.parse_address(address) is None:
            return f"{address[:80]!r} is not HOST:PORT"
        if action == "ADD" and not address and peer_name not in self.peers.addresses:
            return f"this node has no address for {peer_name!r} in its --peers; give HOST:PORT"
        if self.leader is None or not self.leader.known_commit_index():
            return "not ready: nothing of this leader's term is committed yet"
        if self.change is not None or self.members_index > self.leader.commit_index:
            return "not ready: a change of the members is under way"
        return None

    def append_change(self, change: membership.Change) -> None:
        """Append the configuration of a change, if the node that is added has the log."""
        if self.change is not change or change.index is not None or self.leader is None:
            return
        links = [link for link in self.leader.links if link.peer_name == change.peer_name]
        if change.target and not any(link.match_index >= change.target for link in links):
            return
        try:
            change.index = self.engine.append_configuration(change.members)
        except DiskFullError as error:
            self.end_change(str(error))
            return
        self.server.timers.after(
            self.settings.ack_timeout, lambda: self.expire_change(change, appended=True)
        )
        self.node.commit()

    def expire_change(self, change: membership.Change, appended: bool) -> None:
        """Reply to a change that takes too long: it cannot be made, or its outcome is unknown."""
        if self.change is not change or appended != (change.index is not None):
            return
        if appended:
            self.end_change(
                "unknown: this change may have happened: too few members have it in time"
            )
        else:
            self.end_change(f"not ready: {change.peer_name} does not follow, or has not caught up")

    def end_change(self, problem: str) -> None:
        """Reply with an error to the change that is under way."""
        change, self.change = self.change, None
        if change is not None:
            change.reply.fill(encode_error(problem))

    def on_committed(self, index: int) -> None:
        """The commit index has risen: a change may be complete, or this node removed."""
        change = self.change
        if change is not None and change.index is not None and change.index <= index:
            self.change = None
            change.reply.fill(b"OK\n")
        if self.members_index <= index and not self.is_voter():
            self.server.timers.after(0.0, lambda: self.resign("this node is no member any more"))

    # -- status ----------------------------------------------------------------------------------

    def leader_text(self) -> str | None:
        """Return the leader's address as this node reaches it, None if it is not known."""
        own = self.peers.own_address if self.leader is not None else self.node.leader_address
        return format_address(own) if own else None

    def status(self) -> "dict[str, Any]":
        """Return the part of STATUS that is about the cluster."""
        return super().status() | {"term": self.meta.promised}


def cluster_of(members: list[str]) -> str:
    """Return the id of the cluster that begins with these members: nodes agree on it by itself."""
    return f"e{crc32(','.join(members).encode()):08x}"
