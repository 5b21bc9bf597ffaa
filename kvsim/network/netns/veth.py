"""A namespace for each host and a veth pair from each to the router, by `ip` commands.

Runs in the process that becomes the router. Breaks nothing.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from kvsim.network.netns.nftables import DELAY_INTERFACE, DELAY_MARK
from kvsim.network.netns.subnets import ROUTER_ADDRESS, Host
from kvsim.process.netns import enter, enter_new

SETTINGS = Path("/proc/sys/net/ipv4")
IP_BATCH = ("ip", "-batch", "-")

# The routing table of packets that wait.
DELAY_TABLE = 100


class CannotBuild(Exception):
    """The network is not available here. The message states what was done and what happened."""


def build_network(all_hosts: Sequence[Host]) -> dict[str, int]:
    """Enter the router's namespace; handles on the hosts' namespaces. Raises CannotBuild."""
    try:
        router = enter_new()
        namespaces = {}
        for host in all_hosts:
            namespaces[host.name] = enter_new()
            commands = host_commands(host, f"/proc/self/fd/{router}")
            run(IP_BATCH, commands, pass_fds=[router])
        enter(router)
        run(IP_BATCH, router_commands(all_hosts))
        _enable_forwarding()
    except OSError as error:
        raise CannotBuild(f"{error.filename or 'a namespace'}: {error.strerror}") from error
    return namespaces


def host_commands(host: Host, router: str) -> str:
    """Commands inside a host's namespace; `router` is the path of the router's namespace."""
    return "\n".join(
        [
            "link set lo up",
            f"link add eth0 type veth peer name {host.interface} netns {router}",
            f"addr add {host.address}/32 dev eth0",
            "link set eth0 up",
            f"route add {ROUTER_ADDRESS} dev eth0 scope link",
            f"route add default via {ROUTER_ADDRESS} dev eth0",
            "",
        ]
    )


def router_commands(all_hosts: Sequence[Host]) -> str:
    """Commands inside the router's namespace, when all veth pairs exist."""
    lines = ["link set lo up"]
    for host in all_hosts:
        lines += [
            f"addr add {ROUTER_ADDRESS}/32 dev {host.interface}",
            f"link set {host.interface} up",
            f"route add {host.address} dev {host.interface} scope link",
        ]
    return "\n".join([*lines, ""])


def delay_commands() -> str:
    """Commands in the router's namespace that route marked packets to the delay queue."""
    return "\n".join(
        [
            f"link set {DELAY_INTERFACE} up txqueuelen 10000",
            f"route add default dev {DELAY_INTERFACE} table {DELAY_TABLE}",
            f"rule add fwmark {DELAY_MARK} lookup {DELAY_TABLE}",
            "",
        ]
    )


def run(argv: Sequence[str], stdin: str = "", *, pass_fds: Sequence[int] = ()) -> str:
    """The output of a command. Raises CannotBuild when it is missing or fails."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, pass_fds=pass_fds)
    except FileNotFoundError:
        raise CannotBuild(
            f"there is no program `{argv[0]}` here (Debian: {PACKAGES[argv[0]]})"
        ) from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines()
        reason = lines[0] if lines else f"status {done.returncode}"
        raise CannotBuild(f"`{' '.join(argv)}` failed: {reason}")
    return done.stdout


PACKAGES = {"ip": "iproute2", "nft": "nftables"}


def _enable_forwarding() -> None:
    (SETTINGS / "ip_forward").write_text("1")
    # Packets that waited arrive on an interface that has no route to their source.
    for interface in ("all", "default"):
        (SETTINGS / "conf" / interface / "rp_filter").write_text("0")
