"""An attempt to make a follower the leader of a new term; cluster_member starts it.

With `majority` and `all` there are three phases. First ask every member whether it would promise
the term, so that an attempt that must fail changes nothing. Then request the promises. Then wait
until the old leader's lease has passed. With `async`, and when the promotion is forced, no promise
is needed; the members are still asked, so that the old leader learns of the new term.
"""

from kvstore.leader import LEASE_S
from kvstore.lines import encode_error
from kvstore.replies import DeferredReply

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from kvstore.cluster_member import ClusterMember


class Promotion:
    """`reply` is filled at the end: OK, or what was missing."""

    def __init__(self, member: "ClusterMember", force: bool) -> None:
        self.member, self.server, self.meta = member, member.server, member.meta
        self.reply = DeferredReply()
        self.needs_majority = self.meta.mode in ("majority", "all") and not force
        self.needed = self.meta.nodes // 2 + 1 if self.needs_majority else 1
        self.term = member.next_term()
        self.ask_all("ASK", self.on_answers)

    def other_members(self) -> list[str]:
        """Return the peer names of the other members."""
        members = self.meta.members.items()
        return [peer_name for node_id, (_, peer_name) in members if node_id != self.meta.node]

    def ask_all(self, verb: str, on_answers: "Callable[[int, list[str]], object]") -> None:
        """Ask every other member.

        Call `on_answers(how many agree, the reasons of the others)`; this node counts as one that
        agrees.
        """
        others, answers = self.other_members(), []
        log = self.member.engine.log
        line = (
            f"PROMISE {verb} {self.meta.cluster or '-'} {self.term} {log.term} {log.last} "
            f"{self.member.peers.own_name} {int(self.needs_majority)}"
        )

        def ask(peer_name: str) -> None:
            self.member.request(peer_name, line, lambda reply: on_reply(peer_name, reply))

        def on_reply(peer_name: str, reply: str | None) -> None:
            answers.append((peer_name, reply))
            if len(answers) == len(others):
                refusals = [
                    f"{name}: {answer or 'no answer'}" for name, answer in answers if answer != "OK"
                ]
                on_answers(1 + len(others) - len(refusals), refusals)

        for peer_name in others:
            ask(peer_name)
        if not others:
            on_answers(1, ["no other member is known"])

    def on_answers(self, agree: int, reasons: list[str]) -> None:
        """Every member has answered whether it would promise the term, or has not answered."""
        if agree < self.needed:
            self.fail(f"{agree} of {self.needed} nodes needed agree; {'; '.join(reasons)}")
        else:
            self.ask_all("PROMISE", self.on_promises)

    def on_promises(self, agree: int, reasons: list[str]) -> None:
        """Every member has promised the term, has refused, or has not answered."""
        if agree < self.needed or self.term <= self.meta.promised:
            self.fail(f"{agree} of {self.needed} promises needed; {'; '.join(reasons)}")
            return
        self.member.stop_following(self.term)
        self.server.timers.after(LEASE_S if self.needs_majority else 0, self.on_lease_passed)

    def on_lease_passed(self) -> None:
        """No other node holds a lease any more: become the leader."""
        if self.term == self.meta.promised and not self.member.node.is_leader:
            self.member.take_over(self.term)
            self.reply.fill(b"OK\n")
        else:
            self.fail(f"term {self.meta.promised} was promised to another node meanwhile")

    def fail(self, reason: str) -> None:
        """Reply with an error."""
        self.reply.fill(encode_error(f"not ready: {reason}"))
