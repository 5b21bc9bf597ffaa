"""One attempt of a node to become the leader: pre-vote, then votes. elected_member starts it.

The pre-vote asks whether the votes would be given, and changes nothing: a node that was alone, or
whose log is behind, does not disturb the others with a new term. Then the node enters the term,
votes for itself, and asks for the votes.

Override in a changed node: `wins`, `asked`, `pre_vote`.
"""

from kvstore.errors import DiskFullError
from kvstore.lines import encode_error

TYPE_CHECKING = False
if TYPE_CHECKING:
    from kvstore.elected_member import ElectedMember
    from kvstore.replies import DeferredReply


class Election:
    """`verb`: ASK in the pre-vote, PROMISE then, "" at the end. `agreed`: the names of the nodes
    that agree, this node first. `refused`: {name: reason}. `reply`: filled at the end, if given.

    After a transfer of leadership there is no pre-vote.
    """

    def __init__(
        self,
        member: "ElectedMember",
        silent_s: float,
        reply: "DeferredReply | None" = None,
        is_transfer: bool = False,
    ) -> None:
        self.member = member
        self.reply = reply
        self.how = "transfer" if is_transfer else "timeout"
        self.cause = "takes over" if is_transfer else f"no leader for {silent_s:.2f} s"
        self.term = member.meta.promised + 1
        self.verb = ""
        self.agreed: list[str] = []
        self.refused: dict[str, str] = {}
        # after this call the member knows the election
        member.server.timers.after(0.0, self.request_votes if is_transfer else self.pre_vote)

    def wins(self) -> bool:
        """Whether a majority of the members agrees."""
        return len(self.agreed) >= len(self.member.voters) // 2 + 1

    def asked(self) -> list[str]:
        """Return the names of the nodes that are asked, this node too."""
        return self.member.voters

    def is_current(self) -> bool:
        """Whether this attempt is still the member's."""
        entered = self.verb == "PROMISE"
        return self.member.election is self and (
            self.member.meta.promised == self.term
            if entered
            else self.member.meta.promised < self.term
        )

    def pre_vote(self) -> None:
        """Ask whether the votes would be given."""
        if not self.is_current():
            self.end()
        elif self.member.hears_leader():
            self.end("there is a leader")
        else:
            self.ask("ASK")

    def request_votes(self) -> None:
        """Enter the term, vote for this node, and ask for votes. Raises OSError."""
        member = self.member
        if not self.is_current():
            self.end()
            return
        member.engine.commit()
        own = member.peers.own_name
        # from here on the term may be the current term
        self.verb = "PROMISE"
        try:
            member.enter_term(self.term, own, self.cause)
        except DiskFullError as error:
            member.server.log_line(str(error))
            self.end(str(error))
            return
        member.server.log_line(f"now CANDIDATE for term {self.term}: {self.cause}")
        self.ask("PROMISE")

    def ask(self, verb: str) -> None:
        """Ask every other member."""
        member = self.member
        log, own = member.engine.log, member.peers.own_name
        self.verb, self.agreed, self.refused = verb, [own], {}
        line = (
            f"PROMISE {verb} {member.meta.cluster} {self.term} {log.term} {log.last} {own} "
            f"{self.how}"
        )
        for peer_name in [name for name in self.asked() if name != own]:
            self.ask_one(verb, peer_name, line)
        self.count()

    def ask_one(self, verb: str, peer_name: str, line: str) -> None:
        """Ask one member."""

        def on_reply(reply: str | None) -> None:
            if self.verb == verb and self.is_current():
                self.on_reply(peer_name, reply)

        timeout_s = self.member.timeout_s * (2 if verb == "PROMISE" else 1)
        self.member.request(peer_name, line, on_reply, timeout_s)

    def on_reply(self, peer_name: str, reply: str | None) -> None:
        """A member has answered, None if it has not in time."""
        if reply == "OK":
            self.agreed.append(peer_name)
        else:
            self.refused[peer_name] = reply or "no answer"
            self.member.follow_hint(self.refused[peer_name])
        if self.is_current():
            self.count()

    def count(self) -> None:
        """Go on if a majority agrees; end if every member has answered and it does not."""
        if self.wins():
            self.on_majority()
        elif len(self.agreed) + len(self.refused) >= len(self.asked()):
            self.end("; ".join(f"{name}: {reason}" for name, reason in self.refused.items()))

    def on_majority(self) -> None:
        """A majority agrees: ask for the votes, or lead."""
        if self.verb == "ASK":
            self.request_votes()
            return
        member, reply, self.reply = self.member, self.reply, None
        self.end()
        member.take_over(self.term, ", ".join(self.agreed))
        if reply is not None:
            leads = member.leader is not None
            reply.fill(b"OK\n" if leads else encode_error("not ready: its disk is full"))

    def end(self, reason: str = "another node leads or a higher term has begun") -> None:
        """This attempt is over."""
        entered, self.verb = self.verb == "PROMISE", ""
        if self.member.election is self:
            self.member.election = None
            if entered:
                self.member.restart_timeout()
            else:
                self.member.retry_soon()
            for answer in self.refused.values():
                self.member.follow_hint(answer)
        if self.reply is not None:
            self.reply.fill(encode_error(f"not ready: {reason}"))
