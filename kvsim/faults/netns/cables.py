"""A namespace for each host and a cable from each to the hub, which passes packets on: what `ip` is told, and the doing of it.

Run in the process that is to be the hub. Breaks nothing.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from kvsim.faults.netns.hosts import HUB, Host
from kvsim.faults.netns.nft import HOLDER, WAITS
from kvsim.process.netns import enter, leave_for_new

SETTINGS = Path("/proc/sys/net/ipv4")
HOLDERS_ROUTES = 100  # a routing table of its own


class CannotBuild(Exception):
    """The network cannot be had here: what was done, and what came of it."""


def build(everybody: Sequence[Host]) -> dict[str, int]:
    """Be in the hub; a handle on each host's namespace, by name. Raises CannotBuild."""
    try:
        hub = leave_for_new()
        nets = {}
        for host in everybody:
            nets[host.name] = leave_for_new()
            run(["ip", "-batch", "-"], at_host(host, f"/proc/self/fd/{hub}"), pass_fds=[hub])
        enter(hub)
        run(["ip", "-batch", "-"], at_hub(everybody))
        _pass_packets_on()
    except OSError as error:
        raise CannotBuild(f"{error.filename or 'a namespace'}: {error.strerror}") from error
    return nets


def at_host(host: Host, hub: str) -> str:
    """Commands inside a host's namespace; `hub` is the path of the hub's."""
    return "\n".join(
        [
            "link set lo up",
            f"link add eth0 type veth peer name {host.cable} netns {hub}",
            f"addr add {host.address}/32 dev eth0",
            "link set eth0 up",
            f"route add {HUB} dev eth0 scope link",
            f"route add default via {HUB} dev eth0",
            "",
        ]
    )


def at_hub(everybody: Sequence[Host]) -> str:
    """Commands inside the hub, when all cables are there."""
    lines = ["link set lo up"]
    for host in everybody:
        lines += [
            f"addr add {HUB}/32 dev {host.cable}",
            f"link set {host.cable} up",
            f"route add {host.address} dev {host.cable} scope link",
        ]
    return "\n".join([*lines, ""])


def at_holder() -> str:
    """Commands inside the hub, when the holder's interface is there: marked packets go that way."""
    return "\n".join(
        [
            f"link set {HOLDER} up txqueuelen 10000",
            f"route add default dev {HOLDER} table {HOLDERS_ROUTES}",
            f"rule add fwmark {WAITS} lookup {HOLDERS_ROUTES}",
            "",
        ]
    )


def run(argv: Sequence[str], words: str = "", *, pass_fds: Sequence[int] = ()) -> str:
    """What a command says. Raises CannotBuild when it is not there or refuses."""
    try:
        done = subprocess.run(argv, input=words, capture_output=True, text=True, pass_fds=pass_fds)
    except FileNotFoundError:
        raise CannotBuild(f"there is no program `{argv[0]}` here (Debian: {PACKAGES[argv[0]]})") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise CannotBuild(f"`{' '.join(argv)}` refused: {said[0] if said else f'status {done.returncode}'}")
    return done.stdout


PACKAGES = {"ip": "iproute2", "nft": "nftables"}


def _pass_packets_on() -> None:
    (SETTINGS / "ip_forward").write_text("1")
    for where in ("all", "default"):  # packets that waited come from where nobody's address is
        (SETTINGS / "conf" / where / "rp_filter").write_text("0")
