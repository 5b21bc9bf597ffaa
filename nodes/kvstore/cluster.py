"""Which node leads which epoch: joining, promises, promotion, fencing. Knows other nodes; knows no clients and no keys.

An epoch belongs to one node for ever: nodes have slots (1 to 15, given by the leader), and a node opens only epochs whose
number is its slot modulo 16. So two nodes can never acknowledge writes in one epoch, whatever they cannot hear of each
other. A node that has promised an epoch follows no leader of a lower one, and steps down if it is that leader.
With `majority` and `all` a promotion needs the promises of a majority, each from a node that is not ahead; so
what a majority acknowledged is never lost. It then waits for the old leader's lease to pass, so that nobody
reads old values there. With `async` a promotion is the operator's word, and can lose what was not copied.
Seams for a changed node: `promise`, `fence`, `next_epoch`, `is_ahead`, and the classes `meta_class`, `leading_class`, `following_class`.
"""

from kvstore.errors import StartError
from kvstore.following import Following
from kvstore.frames import VERSION
from kvstore.leading import Leading
from kvstore.meta import Meta
from kvstore.outgoing import Call
from kvstore.peers import Peers, UnknownPeer
from kvstore.replies import Free

SLOTS = 16
CALL_S = 1.0
ANNOUNCE_S = 1.0
DONE = Free(b"OK\n")


class Cluster:
    """This node's place among the others. Exactly one of `leading` and `following` is set, or neither."""

    meta_class, leading_class, following_class = Meta, Leading, Following

    def leader_in(self, line):
        """Return (epoch, address) of the leader that another node's answer names, or (0, None).

        Such an answer ends in `epoch=2 leader=PLACE`.
        """
        facts = dict(word.split("=", 1) for word in line.split() if "=" in word)
        try:
            return int(facts["epoch"]), self.peers.address(facts["leader"])
        except (KeyError, ValueError):
            return 0, None

    def __init__(self, node):
        self.node, self.server, self.engine = node, node.server, node.engine
        self.settings = node.settings
        self.peers = Peers(self.settings)
        self.meta = self.meta_class(self.settings.data_dir)
        self.meta.identify()
        self.leading = self.following = None

    # -- the start --------------------------------------------------------------------------------------

    def start(self):
        """Take up the role this node was started with. Raises StartError when another node's epoch forbids it."""
        if self.settings.leads:
            self.start_leading()
        if not self.node.leads:
            self.start_following()

    def start_leading(self):
        meta = self.meta
        heard = max(meta.epoch, meta.promised)
        if self.settings.epoch:
            self.open_chosen_epoch(heard)
        elif meta.led and meta.promised > meta.epoch:
            self.server.say(f"epoch {meta.promised} is not this node's; it follows and refuses writes")
            self.node.leads = False
            self.node.leader = self.remembered_leader()
            return
        elif meta.epoch and not meta.led:
            raise StartError(
                f"the data directory followed epoch {heard}: to lead from it, give --epoch={heard + 1} or higher, "
                f"or start it as a follower and send it PROMOTE"
            )
        else:
            self.own(meta.epoch or 1)
        self.lead()

    def open_chosen_epoch(self, heard):
        """Open the epoch that the operator chose."""
        if self.settings.epoch <= heard:
            raise StartError(f"--epoch must be higher than {heard}, which this data directory has heard of")
        self.meta.slot = self.meta.slot or 1
        epoch = self.own_epoch_from(self.settings.epoch)
        if epoch != self.settings.epoch:
            self.server.say(f"epoch {self.settings.epoch} is another node's; this node's next one is {epoch}")
        self.own(epoch)
        self.engine.open_epoch(epoch)
        self.engine.commit()

    def own(self, epoch):
        """Remember that this node leads an epoch."""
        meta = self.meta
        meta.cluster = meta.cluster or new_id()
        meta.slot = meta.slot or 1
        meta.epoch = meta.promised = epoch
        meta.led, meta.leader = 1, ""
        meta.mode = self.settings.replication or meta.mode or "async"
        meta.nodes = meta.nodes if self.settings.replication is None and meta.nodes else self.settings.nodes
        meta.members[meta.node] = (meta.slot, self.peers.me)
        meta.save()
        self.engine.log.epoch = max(self.engine.log.epoch, epoch)

    def lead(self):
        """Begin to serve followers."""
        self.node.leads, self.node.leader = True, None
        self.leading = self.leading_class(self.node, self.meta.mode, self.meta.nodes)
        self.node.holds = self.leading.needed() > 1
        self.leading.commit()
        self.announce()

    def remembered_leader(self):
        """Return the address of the leader this node has heard of last; None when there is none, or its place is not known."""
        try:
            return self.peers.address(self.meta.leader)
        except ValueError as error:
            self.server.say(f"the leader this node has heard of last: {error}")

    def start_following(self):
        """Begin to follow the leader this node has heard of last, or was started with."""
        addresses = [address for address in (self.remembered_leader(), self.settings.leader) if address]
        addresses = [address for address in dict.fromkeys(addresses) if address != self.peers.mine]
        if addresses and self.settings.replication != "none":
            self.node.leader = addresses[0]
            self.following = self.following_class(self.node, addresses)

    # -- followers that come, and leaders that are found ------------------------------------------------

    def on_follow(self, session, words):
        """Answer a node that wants to follow this one; return what is wrong, or None when it was admitted."""
        try:
            version, cluster, node, last, chain, promised, place = words
            last, chain, promised = int(last), int(chain), int(promised)
            self.peers.address(place)
        except UnknownPeer as error:
            return str(error)
        except ValueError:
            return "FOLLOW cannot be read; do the versions differ?"
        meta = self.meta
        if version != str(VERSION):
            return f"this node speaks version {VERSION} of replication, not {version}"
        if node == meta.node:
            return "a node cannot follow itself"
        if self.node.leads and promised > meta.epoch and cluster == meta.cluster:
            self.fence(promised, None)
        if not self.node.leads:
            return f"this node does not lead; epoch={meta.promised} leader={self.peers.place(self.node.leader) or '-'}"
        if meta.mode == "none":
            return "this leader does not replicate (--replication=none)"
        if cluster not in ("-", meta.cluster):
            return f"this is cluster {meta.cluster}, not {cluster}"
        slot = self.slot_of(node, place)
        if slot is None:
            return f"this cluster has {len(meta.members)} nodes already"
        session.connection.out.append(
            f"FOLLOWED {meta.cluster} {meta.epoch} {slot} {meta.mode} {meta.nodes}\n".encode()
        )
        self.server.dirty.append(session.connection)
        self.leading.admit(session.connection, node, place, last, chain)
        return None

    def slot_of(self, node, place):
        """Return the slot of a member, a new one for a new member, None when there is no more room."""
        meta = self.meta
        slot, known_as = meta.members.get(node, (None, None))
        if slot is None:
            slot = self.take_place_of(place)
        if slot is None:
            free = sorted(set(range(1, SLOTS)) - {slot for slot, _ in meta.members.values()})
            full = meta.mode in ("majority", "all") and len(meta.members) >= meta.nodes
            if full or not free:
                return None
            slot = free[0]
        if known_as != place:
            meta.members[node] = (slot, place)
            meta.save()
            self.leading.tell_members()
        return slot

    def take_place_of(self, place):
        """Return the slot of the member that had this place: its data is gone, the node there is a new one. Or None."""
        for node, (slot, known_as) in list(self.meta.members.items()):
            if known_as == place and node != self.meta.node:
                self.server.say(f"the node at {place} is a new one, in the place of {node}")
                del self.meta.members[node]
                return slot
        return None

    def joined(self, cluster, epoch, slot, mode, nodes, address):
        """The leader has admitted this node. Raises ValueError when it is no leader to follow."""
        meta = self.meta
        if meta.cluster not in ("", cluster):
            raise ValueError(f"it leads cluster {cluster}, this node belongs to {meta.cluster}")
        if epoch < meta.promised:
            raise ValueError(f"it leads epoch {epoch}, this node has promised {meta.promised}")
        facts = (cluster, epoch, epoch, 0, slot, mode, nodes, self.peers.place(address))
        if facts != (
            meta.cluster,
            meta.epoch,
            meta.promised,
            meta.led,
            meta.slot,
            meta.mode,
            meta.nodes,
            meta.leader,
        ):
            (
                meta.cluster,
                meta.epoch,
                meta.promised,
                meta.led,
                meta.slot,
                meta.mode,
                meta.nodes,
                meta.leader,
            ) = facts
            meta.save()
        self.node.leader = address

    def take_members(self, members):
        """Remember who belongs to the cluster."""
        if members != self.meta.members:
            self.meta.members = members
            self.meta.save()

    # -- promotion --------------------------------------------------------------------------------------

    def next_epoch(self):
        """Return the lowest epoch that is higher than all heard of and belongs to this node's slot."""
        return self.own_epoch_from(max(self.meta.promised, self.meta.epoch) + 1)

    def own_epoch_from(self, least):
        """Return the lowest epoch from `least` on that belongs to this node's slot."""
        return least + (self.meta.slot - least) % SLOTS

    def promote(self, force):
        """Make this node the leader of a new epoch; return the reply, or a place for it."""
        if self.node.leads:
            return DONE
        from kvstore.promotion import Promotion

        self.meta.slot = self.meta.slot or 1
        return Promotion(self, force).reply

    def stop_following(self, epoch):
        """Promise an epoch to oneself: hear no leader of a lower one any more."""
        self.meta.promised = epoch
        self.meta.save()
        if self.following is not None:
            self.following.close()
            self.following = None

    def take_over(self, epoch):
        """Lead a new epoch from here."""
        was, meta = self.peers.place(self.node.leader), self.meta
        self.own(epoch)
        self.engine.open_epoch(epoch)
        self.engine.commit()
        self.lead()
        self.server.say(
            f"now LEADER of epoch {epoch} at index {self.engine.applied} (followed {was or 'nobody'} before)"
        )
        meta.save()

    def is_ahead(self, epoch, last):
        """Whether this node's history goes further than one that ends with this epoch and index."""
        return (self.engine.log.epoch, self.engine.log.last) > (epoch, last)

    def promise(self, words):
        """Answer a node that wants to lead an epoch; return what is wrong, or None when it has the promise."""
        try:
            verb, cluster, epoch, log_epoch, last, place, careful = words
            epoch, log_epoch, last = int(epoch), int(log_epoch), int(last)
            address = self.peers.address(place)
        except UnknownPeer as error:
            return str(error)
        except ValueError:
            return "PROMISE cannot be read; do the versions differ?"
        if cluster != self.meta.cluster:
            return f"this node belongs to cluster {self.meta.cluster or '-'}, not {cluster}"
        if epoch <= self.meta.promised:
            return f"epoch {self.meta.promised} is promised already"
        if careful == "1" and self.is_ahead(log_epoch, last):
            return f"this node is ahead, at index {self.engine.log.last} of epoch {self.engine.log.epoch}"
        if verb == "PROMISE":
            self.fence(epoch, address)
        return None

    def fence(self, epoch, leader):
        """Follow nobody below this epoch from now on; step down if this node leads one."""
        led = self.meta.epoch
        self.meta.promised = max(self.meta.promised, epoch)
        if leader is not None:
            self.meta.leader = self.peers.place(leader)
            self.node.leader = leader
        self.meta.save()
        if self.node.leads:
            self.step_down(led)
        elif leader is not None and self.following is None:
            self.start_following()
        elif leader is not None:
            self.following.redirect(leader)

    def step_down(self, led):
        """A higher epoch exists: accept no more writes, and say of those that wait that they may have happened."""
        self.node.leads, self.node.holds = False, False
        leading, self.leading = self.leading, None
        self.server.say(
            f"now FOLLOWER: epoch {self.meta.promised} is led by {self.meta.leader or 'another node'}; this node led {led}"
        )
        leading.close()
        self.node.in_doubt("this write may have happened: this node leads no longer")
        self.start_following()

    # -- telling each other -----------------------------------------------------------------------------

    def announce(self):
        """Once a second, tell members that are not linked who leads."""
        if self.leading is None:
            return
        self.server.timers.after(ANNOUNCE_S, self.announce)
        linked = {link.node for link in self.leading.links}
        line = f"ANNOUNCE {self.meta.cluster} {self.meta.epoch} {self.peers.me}"
        for node, (_, place) in self.meta.members.items():
            if node not in linked and node != self.meta.node:
                self.call(place, line, self.announced)

    def call(self, place, line, done):
        """Ask another node one line; `done(what it said, or why it cannot be asked)`, with None when it does not answer."""
        try:
            address = self.peers.address(place)
        except ValueError as error:
            done(str(error))
            return
        Call(self.server, address, line, CALL_S, done)

    def announced(self, reply):
        """A member has answered: it may know of a higher epoch."""
        epoch, leader = self.leader_in(reply or "")
        if leader is not None:
            self.heard_of(epoch, leader)

    def on_announce(self, words):
        """A node says that it leads; return what is wrong, or None."""
        try:
            cluster, epoch, address = words[0], int(words[1]), self.peers.address(words[2])
        except UnknownPeer as error:
            return str(error)
        except (ValueError, IndexError):
            return "ANNOUNCE cannot be read; do the versions differ?"
        if cluster != self.meta.cluster:
            return f"this node belongs to cluster {self.meta.cluster or '-'}, not {cluster}"
        if epoch < self.meta.promised:
            leader = self.peers.mine if self.node.leads else self.node.leader
            return f"a higher epoch is known; epoch={self.meta.promised} leader={self.peers.place(leader) or '-'}"
        self.heard_of(epoch, address)
        return None

    def heard_of(self, epoch, leader):
        """Somebody leads an epoch: if it is higher than ours, follow it."""
        known = epoch < self.meta.promised or (self.node.leads and epoch <= self.meta.epoch)
        if known or leader == self.peers.mine:
            return
        if self.node.leads or epoch > self.meta.epoch or self.following is None:
            self.fence(epoch, leader)
        elif not self.following.linked:
            self.node.leader = leader
            self.following.redirect(leader)

    def status(self):
        """Return what STATUS says of this node's place."""
        leading, following = self.leading, self.following
        shown = {
            "epoch": self.meta.epoch,
            "promised": self.meta.promised,
            "replication": self.meta.mode or "none",
        }
        shown |= {"nodes": self.meta.nodes, "cluster": self.meta.cluster or None, "node": self.meta.node}
        if leading is not None:
            return shown | {
                "committed": leading.committed,
                "followers": leading.status(),
                "linked": True,
                "lag": 0,
            }
        linked = following is not None and following.linked
        shown |= {"committed": following.committed if following else 0, "followers": [], "linked": linked}
        lag = max(0, following.leader_index - self.engine.log.last) if linked else None
        return shown | {"lag": lag}


def new_id():
    """Return a name nobody else has."""
    from posix import urandom

    return urandom(6).hex()
