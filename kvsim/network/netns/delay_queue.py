"""The queue of packets that have to wait, for the router.

The router's rules send packets to an interface (TUN) of this process; it sends each packet back by
the same interface when it is due. Packets of one directed pair stay in order, with any jitter: a
delay does not reorder. Sets no rule in the kernel. Runs in the router's process (`__main__`).
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

from msgspec import Struct, field

from kvsim.network.rules import PASS, DeliverySchedule, LinkClock, LinkRule, LinkStats

DEVICE = "/dev/net/tun"

# TUNSETIFF of linux/if_tun.h; IFF_TUN | IFF_NO_PI
SET_INTERFACE = 0x400454CA
IP_PACKETS = 0x1001

PACKET_BYTES_MAX = 65536

# Of one directed pair; more is lost, as in any router, and TCP sends it again.
HELD_BYTES_MAX = 1 << 18

# Packets that are read before requests and due packets have their turn.
PACKETS_A_TURN = 64

# Source and destination address as they are in a packet: 8 bytes.
AddressPair = bytes


def open_interface(name: str) -> int:
    """Create the interface in this thread's namespace; its packets' descriptor. Raises OSError."""
    device = os.open(DEVICE, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.ioctl(device, SET_INTERFACE, struct.pack("16sH22x", name.encode(), IP_PACKETS))
    except OSError:
        os.close(device)
        raise
    return device


class DelayLine(Struct, eq=False):
    """One directed pair: its rule, its counters, and its packets that wait.

    `waiting` holds (due time, arrival time, packet). Due time None: until the rule changes.
    """

    schedule: DeliverySchedule
    rule: LinkRule = PASS
    stats: LinkStats = field(default_factory=LinkStats)
    waiting: deque[tuple[float | None, float, bytes]] = field(default_factory=deque)
    held_bytes: int = 0


class DelayQueue:
    """All lines. `send` forwards one packet."""

    def __init__(
        self,
        pairs: Iterable[AddressPair],
        seed: str,
        send: Callable[[bytes], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._random = random.Random(seed)
        self._send, self._clock = send, clock
        self.lines = {pair: self._new_line(PASS) for pair in pairs}

    def set_rule(self, pair: AddressPair, rule: LinkRule) -> None:
        """Set the rule of one line and count from zero. Packets that waited are sent now."""
        line = self.lines[pair]
        while line.waiting:
            self._send(line.waiting.popleft()[2])
        self.lines[pair] = self._new_line(rule)

    def receive(self, packet: bytes) -> None:
        """Take a packet. It is sent at once when its line's rule has ended meanwhile."""
        line, now_s = self.lines.get(packet[12:20]), self._clock()
        # The kernel itself sends packets on a new interface, which belong to no pair.
        if line is None:
            return
        line.stats.offered += len(packet)
        if line.rule == PASS:
            self._send(packet)
        elif line.held_bytes + len(packet) > HELD_BYTES_MAX:
            line.stats.swallowed += len(packet)
        elif line.rule.mode == "stall":
            self._hold(line, None, now_s, packet)
        else:
            for due_s, piece in line.schedule.plan(line.rule, packet, now_s):
                self._hold(line, due_s, now_s, piece)

    def send_due(self) -> float | None:
        """Send what is due; the seconds until the next packet is due, None for none."""
        now_s, next_due_s = self._clock(), None
        for line in self.lines.values():
            while line.waiting:
                due_s, arrived_s, packet = line.waiting[0]
                if due_s is None:
                    break
                if due_s > now_s:
                    next_due_s = due_s if next_due_s is None else min(due_s, next_due_s)
                    break
                line.waiting.popleft()
                line.held_bytes -= len(packet)
                self._send(packet)
                line.stats.count_forwarded(len(packet), now_s - arrived_s, now_s)
        return None if next_due_s is None else max(0.0, next_due_s - now_s)

    def _new_line(self, rule: LinkRule) -> DelayLine:
        return DelayLine(DeliverySchedule(self._random, LinkClock()), rule)

    def _hold(self, line: DelayLine, due_s: float | None, arrived_s: float, packet: bytes) -> None:
        line.waiting.append((due_s, arrived_s, packet))
        line.held_bytes += len(packet)


def read_packets(device: int) -> Iterable[bytes]:
    """The packets that have arrived, at most PACKETS_A_TURN."""
    for _ in range(PACKETS_A_TURN):
        try:
            yield os.read(device, PACKET_BYTES_MAX)
        except BlockingIOError:
            return


def packet_sender(device: int) -> Callable[[bytes], None]:
    """Sends packets by the interface. A packet is lost when the kernel's buffer is full."""

    def send(packet: bytes) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(device, packet)

    return send
