"""One attempt to make a follower the leader of a new epoch. Knows the other members; what follows is for cluster.py.

With `majority` and `all`: first ask everybody whether they would promise, so that a hopeless attempt disturbs nobody; then
have the promises; then wait for the old leader's lease to pass. With `async`, or when it is forced, promises are
asked for all the same, so that the old leader hears of it, but none is needed.
"""

from kvstore.leading import LEASE_S
from kvstore.lines import encode_error
from kvstore.replies import Later


class Promotion:
    """`reply` is filled when it is over: OK, or what was missing."""

    def __init__(self, cluster, force):
        self.cluster, self.server, self.meta = cluster, cluster.server, cluster.meta
        self.reply = Later()
        self.careful = self.meta.mode in ("majority", "all") and not force
        self.needed = self.meta.nodes // 2 + 1 if self.careful else 1
        self.epoch = cluster.next_epoch()
        self.ask_all("ASK", self.answered)

    def members(self):
        """Return the places of the other members."""
        members = self.meta.members.items()
        return [place for node, (_, place) in members if node != self.meta.node]

    def ask_all(self, verb, done):
        """Ask every other member; `done(how many agree, why the others do not)`, this node among those that agree."""
        others, answers = self.members(), []
        log = self.cluster.engine.log
        line = (
            f"PROMISE {verb} {self.meta.cluster or '-'} {self.epoch} {log.epoch} {log.last} "
            f"{self.cluster.peers.me} {int(self.careful)}"
        )

        def told(place, reply):
            answers.append((place, reply))
            if len(answers) == len(others):
                no = [f"{at}: {said or 'no answer'}" for at, said in answers if said != "OK"]
                done(1 + len(others) - len(no), no)

        for place in others:
            self.cluster.call(place, line, lambda reply, place=place: told(place, reply))
        if not others:
            done(1, ["no other member is known"])

    def answered(self, agree, reasons):
        """Everybody has said whether it would promise."""
        if agree < self.needed:
            self.fail(f"{agree} of {self.needed} nodes needed agree; {'; '.join(reasons)}")
        else:
            self.ask_all("PROMISE", self.promised)

    def promised(self, agree, reasons):
        """Everybody has promised, or not."""
        if agree < self.needed or self.epoch <= self.meta.promised:
            self.fail(f"{agree} of {self.needed} promises needed; {'; '.join(reasons)}")
            return
        self.cluster.stop_following(self.epoch)
        self.server.timers.after(LEASE_S if self.careful else 0, self.lease_is_over)

    def lease_is_over(self):
        """No other node can still believe that it leads."""
        if self.epoch == self.meta.promised and not self.cluster.node.leads:
            self.cluster.take_over(self.epoch)
            self.reply.fill(b"OK\n")
        else:
            self.fail(f"epoch {self.meta.promised} was promised to another node meanwhile")

    def fail(self, why):
        self.reply.fill(encode_error(f"not ready: {why}"))
