"""Addresses are compared as addresses, in every spelling."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvsim.ip_addresses import is_loopback, leads_to, same_host, split_address

IPV4 = st.ip_addresses(v=4)


def spellings(address: ipaddress.IPv4Address) -> list[str]:
    """The ways in which programs write an IPv4 address, on an IPv6 socket too."""
    high, low = divmod(int(address), 1 << 16)
    return [
        str(address),
        f"::ffff:{address}",
        f"::FFFF:{address}",
        f"::ffff:{high:x}:{low:x}",
        f"0:0:0:0:0:ffff:{high:x}:{low:x}",
        f"[::ffff:{address}]",
    ]


@given(IPV4, st.data())
def test_every_spelling_of_an_address_is_the_same_host(address, data):
    first, second = (data.draw(st.sampled_from(spellings(address))) for _ in range(2))
    assert same_host(first, second)


@given(IPV4, IPV4, st.data())
def test_different_addresses_are_different_hosts(first, second, data):
    texts = [data.draw(st.sampled_from(spellings(address))) for address in (first, second)]
    assert same_host(*texts) is (first == second)


@given(st.ip_addresses(v=6))
def test_an_ipv6_address_is_itself_written_out_or_not(address):
    assert same_host(str(address), f"[{address.exploded}%lo]".replace("%lo]", "]"))


@pytest.mark.parametrize(
    "name", ["localhost", "LOCALHOST", "localhost.localdomain", "ip6-loopback"]
)
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_names_of_loopback_are_loopback(name, address):
    assert is_loopback(name) and is_loopback(address) and same_host(name, address)
    assert not same_host(name, "192.0.2.1")


@pytest.mark.parametrize(
    ("named", "hosts", "leads"),
    [
        ("0.0.0.0", ["127.0.0.1"], True),
        ("::", ["127.0.0.1"], True),
        ("0.0.0.0", ["10.1.2.3"], False),
        ("192.0.2.77", ["127.0.0.1"], False),
        ("127.0.0.2", ["127.0.0.1"], False),
        ("somewhere", ["127.0.0.1", "somewhere"], True),
        ("somewhere", ["127.0.0.1"], False),
    ],
)
def test_where_a_client_on_this_machine_arrives(named, hosts, leads):
    assert leads_to(named, hosts) is leads


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("127.0.0.1:9001", ("127.0.0.1", 9001)),
        (":9001", ("", 9001)),
        ("[::1]:9001", ("::1", 9001)),
        ("::1:9001", ("::1", 9001)),
        ("::1", ("::1", None)),
        ("[::1]", ("::1", None)),
        ("n2", ("n2", None)),
        ("n2:9001", ("n2", 9001)),
        ("http://127.0.0.1:9001/keys/a", ("127.0.0.1", 9001)),
        ("http://[::1]:9001/", ("::1", 9001)),
        ("http://n2", ("n2", None)),
        ("http://[:", ("http://[:", None)),
        ("", ("", None)),
    ],
)
def test_host_and_port(text, parts):
    assert split_address(text) == parts


@given(st.text())
def test_any_text_is_split_without_an_error(text):
    split_address(text)
