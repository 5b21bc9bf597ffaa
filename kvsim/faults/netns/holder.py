"""Lets packets wait: what the hub's rules hand over by an interface of its own comes back by it when it is due.

Knows rules and packets; sets no rule in the kernel. Order holds for each directed pair, whatever the jitter, so that a delay is a
delay and not a disorder. Runs in the process of the hub (`__main__.py`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from kvsim.faults.links.rules import PASS, Lane, Pace, Rule, Seen

DEVICE = "/dev/net/tun"
SET_INTERFACE = 0x400454CA  # TUNSETIFF of linux/if_tun.h
IP_PACKETS = 0x1001  # IFF_TUN | IFF_NO_PI
PACKET_BYTES_MAX = 65536
HELD_BYTES_MAX = 1 << 18  # of one directed pair; more is lost, as in any router, and sent again by TCP
AT_ONCE = 64  # packets taken before somebody else has a turn

Flow = bytes  # source and destination as they stand in a packet: 8 bytes


def open_interface(name: str) -> int:
    """Make the interface in the namespace this thread is in; the file by which its packets come and go. Raises OSError."""
    device = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(device, SET_INTERFACE, struct.pack("16sH22x", name.encode(), IP_PACKETS))
    except OSError:
        os.close(device)
        raise
    return device


@dataclass(eq=False)
class Line:
    """One directed pair: its rule, what has been seen, and what waits as (when, arrived, packet); when None: until the rule changes."""

    pace: Pace
    rule: Rule = PASS
    seen: Seen = field(default_factory=Seen)
    waiting: deque = field(default_factory=deque)
    held: int = 0  # bytes


class Holder:
    """All lines. `send` puts one packet on its way again."""

    def __init__(
        self,
        flows: Iterable[Flow],
        seed: str,
        send: Callable[[bytes], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._random = random.Random(seed)
        self._send, self._clock = send, clock
        self.lines = {flow: self._line(PASS) for flow in flows}

    def rule(self, flow: Flow, rule: Rule) -> None:
        """Give one line another rule and count anew; what waited goes on now."""
        line = self.lines[flow]
        while line.waiting:
            self._send(line.waiting.popleft()[2])
        self.lines[flow] = self._line(rule)

    def take(self, packet: bytes) -> None:
        """A packet that was handed over. One whose line has no rule any more (it was on its way when that ended) goes on at once."""
        line, now = self.lines.get(packet[12:20]), self._clock()
        if line is None:  # what the kernel itself says on a new interface, to nobody here
            return
        line.seen.offered += len(packet)
        if line.rule == PASS:
            self._send(packet)
        elif line.held + len(packet) > HELD_BYTES_MAX:
            line.seen.swallowed += len(packet)
        elif line.rule.mode == "stall":
            self._hold(line, None, now, packet)
        else:
            for due, piece in line.pace.plan(line.rule, packet, now):
                self._hold(line, due, now, piece)

    def send_due(self) -> float | None:
        """Send what is due; how many seconds there are until more is, None for nothing."""
        now, next_due = self._clock(), None
        for line in self.lines.values():
            while line.waiting:
                due, arrived, packet = line.waiting[0]
                if due is None:
                    break
                if due > now:
                    next_due = due if next_due is None else min(due, next_due)
                    break
                line.waiting.popleft()
                line.held -= len(packet)
                self._send(packet)
                line.seen.hand_on(len(packet), now - arrived, now)
        return None if next_due is None else max(0.0, next_due - now)

    def _line(self, rule: Rule) -> Line:
        return Line(Pace(self._random, Lane()), rule)

    def _hold(self, line: Line, due: float | None, arrived: float, packet: bytes) -> None:
        line.waiting.append((due, arrived, packet))
        line.held += len(packet)


def packets(device: int) -> Iterable[bytes]:
    """The packets that have come, at most so many that others get their turn."""
    for _ in range(AT_ONCE):
        try:
            yield os.read(device, PACKET_BYTES_MAX)
        except BlockingIOError:
            return


def sender(device: int) -> Callable[[bytes], None]:
    """Puts packets on their way by the interface. What the kernel has no room for is lost, as on any link."""

    def send(packet: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(device, packet)

    return send
