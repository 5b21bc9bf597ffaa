"""Hosts compared as addresses: `127.0.0.1`, `::ffff:7f00:1` and `[::ffff:127.0.0.1]` are one.

Resolves no names, except those that always mean this machine.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

LOOPBACK_NAME = re.compile(
    r"(?:.+\.)?localhost[46]?(?:\.localdomain[46]?)?|ip6-(?:localhost|loopback)", re.IGNORECASE
)

PORT = re.compile(r"[0-9]{1,5}")
# A run compares the same few hosts again and again.
CACHED_MAX = 1024


@functools.lru_cache(CACHED_MAX)
def parse_ip(text: str) -> IPAddress | None:
    """An address of any spelling, an IPv4 address on an IPv6 socket as IPv4. None: it is a name."""
    try:
        address = ipaddress.ip_address(text.strip().strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def is_loopback(host: str) -> bool:
    """Whether a host, by address or name, is this machine's loopback."""
    address = parse_ip(host)
    return address.is_loopback if address else bool(LOOPBACK_NAME.fullmatch(host))


def same_host(first: str, second: str) -> bool:
    """Whether two hosts are one, by value. A loopback name is the usual loopback addresses."""
    one, other = parse_ip(first), parse_ip(second)
    if one and other:
        return one == other
    if one or other:
        name, address = (first, other) if other else (second, one)
        return bool(LOOPBACK_NAME.fullmatch(name)) and str(address) in {"127.0.0.1", "::1"}
    return first.casefold() == second.casefold() or (is_loopback(first) and is_loopback(second))


def leads_to(named: str, hosts: Iterable[str]) -> bool:
    """Whether a client on this machine that connects to `named` reaches one of `hosts`.

    The wildcard address leads to this machine.
    """
    address = parse_ip(named)
    wildcard = address is not None and address.is_unspecified
    return any(same_host(named, host) or (wildcard and is_loopback(host)) for host in hosts)


def split_address(text: str) -> tuple[str, int | None]:
    """(host, port) of `host:port`, `[::1]:port`, `:port` or a URL; the host may be empty.

    The port is None where the text has none.
    """
    text = text.strip()
    if "://" in text or text.startswith("//"):
        return _split_url(text)
    host, colon, port = text.rpartition(":")
    # `::1` has no port, `::1:9001` has one.
    bare_ipv6 = ":" in host and not host.startswith("[")
    if not (colon and PORT.fullmatch(port)) or (bare_ipv6 and parse_ip(host) is None):
        return text.strip("[]"), None
    return host.strip("[]"), int(port)


def _split_url(text: str) -> tuple[str, int | None]:
    try:
        parts = urlsplit(text)
        return parts.hostname or "", parts.port
    except ValueError:
        return text, None
