"""The hub: the router that all cables lead to, and what it does for a fault. Runs in the process of the same name (`__main__.py`).

Rules are nft's, and so are the counts; what has to wait is the holder's. What it says of a pair is what it sees, not what it was told.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from kvsim.faults.links.rules import PASS, Rule, Seen
from kvsim.faults.netns import nft
from kvsim.faults.netns.cables import CannotBuild, at_holder, build, run
from kvsim.faults.netns.holder import DEVICE, Holder, open_interface, sender
from kvsim.faults.netns.hosts import Host, hosts, pairs
from kvsim.process.netns import inside

LOAD = ("nft", "-f", "-")
LIST = ("nft", "-j", "list", "table", *nft.TABLE.split())
ARRIVES_WITHIN_S = 1.0


class Hub:
    """All directed pairs of hosts. `cannot_hold` says why packets cannot be made to wait here; None when they can."""

    def __init__(self, names: Sequence[str], seed: str) -> None:
        """Build it. Raises CannotBuild."""
        self.hosts = {host.name: host for host in hosts(names)}
        self._everybody = list(self.hosts.values())
        self.nets = build(self._everybody)
        run(LOAD, nft.skeleton(self._everybody))
        self.device = -1
        self.holder: Holder | None = None
        self.cannot_hold: str | None = None
        try:
            self.device = open_interface(nft.HOLDER)
            run(["ip", "-batch", "-"], at_holder())
            flows = {_flow(pair) for pair in pairs(self._everybody)}
            self.holder = Holder(flows, seed, sender(self.device))
        except OSError as error:
            self.cannot_hold = f"{DEVICE}: {error.strerror}"
        except CannotBuild as error:
            self.cannot_hold = str(error)
        self._last: dict[nft.Pair, Rule] = {}  # of each pair, the last rule that broke it
        self._through: dict[nft.Pair, int] = {}  # what had gone through when that began

    def pair(self, link: str) -> nft.Pair:
        """The hosts of a link's name."""
        source, _, target = link.partition("->")
        return self.hosts[source], self.hosts[target]

    def set(self, rules: Mapping[nft.Pair, Rule]) -> None:
        """Give pairs their rules, all in one transaction. Raises CannotBuild."""
        if self.holder is None and any(map(nft.waits, rules.values())):
            raise CannotBuild(f"packets cannot be made to wait here: {self.cannot_hold}")
        run(LOAD, nft.change(rules))
        counted = self._counted()
        for pair, rule in rules.items():
            if self.holder is not None:
                self.holder.rule(_flow(pair), rule if nft.waits(rule) else PASS)
            if rule != PASS:
                self._last[pair], self._through[pair] = rule, counted[pair].through

    def seen(self, wanted: Iterable[nft.Pair]) -> dict[nft.Pair, Seen]:
        """What became of packets since their pair was last broken."""
        counted = self._counted()
        return {pair: self._seen(pair, counted[pair]) for pair in wanted}

    def rules(self, wanted: Iterable[nft.Pair]) -> dict[nft.Pair, Rule]:
        """What holds now: as long as the kernel has a rule, or the holder has, the pair is broken as it last was."""
        counted = self._counted()
        return {
            pair: self._last[pair] if counted[pair].rules or self._holds(pair) else PASS for pair in wanted
        }

    def unreached(self, wanted: Iterable[nft.Pair]) -> list[nft.Pair]:
        """Those pairs on which a datagram does not arrive within a second."""
        with contextlib.ExitStack() as stack:
            sent = [(pair, stack.enter_context(_posted(pair, self.nets))) for pair in wanted]
            return [
                pair
                for pair, letterbox in sent
                if not select.select([letterbox], [], [], ARRIVES_WITHIN_S)[0]
            ]

    def close(self) -> None:
        for net in self.nets.values():
            os.close(net)
        if self.device >= 0:
            os.close(self.device)

    def _seen(self, pair: nft.Pair, counted: nft.Counted) -> Seen:
        rule = self._last.get(pair, PASS)
        if self.holder is not None and nft.waits(rule) and rule.mode == "pass":
            return self.holder.lines[_flow(pair)].seen
        through = counted.through - self._through.get(pair, 0)
        seen = Seen(offered=counted.offered, resets=counted.resets, turned_away=counted.turned_away)
        return replace(seen, forwarded=through)

    def _holds(self, pair: nft.Pair) -> bool:
        return self.holder is not None and self.holder.lines[_flow(pair)].rule != PASS

    def _counted(self) -> dict[nft.Pair, nft.Counted]:
        return nft.counted(run(LIST), self._everybody)


@contextlib.contextmanager
def _posted(pair: nft.Pair, nets: Mapping[str, int]) -> Iterator[socket.socket]:
    """A socket at the target to which the source has just sent a datagram."""
    source, target = pair
    with inside(nets[target.name]):
        letterbox = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with letterbox:
        letterbox.bind((target.address, 0))
        with inside(nets[source.name]):
            post = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with post, contextlib.suppress(OSError):  # what cannot even be sent does not arrive
            post.sendto(b"kvsim", letterbox.getsockname())
        yield letterbox


def _flow(pair: tuple[Host, Host]) -> bytes:
    return b"".join(socket.inet_aton(host.address) for host in pair)
