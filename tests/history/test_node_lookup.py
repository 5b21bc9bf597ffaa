"""The node that an address names: host and port both decide."""

from __future__ import annotations

import pytest

from kvsim.history.node_lookup import NodeIdentifiers, node_at

HOSTS = ("127.0.0.1", "workstation", "10.0.0.5")
NODES = {
    "n1": NodeIdentifiers(1, (9001, 19001), HOSTS),
    "n2": NodeIdentifiers(2, (9002,), HOSTS),
}


@pytest.mark.parametrize(
    ("address", "node"),
    [
        ("n2", "n2"),
        ("9002", "n2"),
        ("2", "n2"),
        (":9002", "n2"),
        ("127.0.0.1:9002", "n2"),
        ("localhost:19001", "n1"),
        ("[::ffff:7f00:1]:9002", "n2"),
        ("0.0.0.0:9002", "n2"),
        ("workstation:9002", "n2"),
        ("10.0.0.5:9002", "n2"),
        ("n2:9002", "n2"),
        ("http://127.0.0.1:9002/keys/k", "n2"),
        ("the leader is on port 9002", "n2"),
        # A port is no id.
        (":1", None),
        ("127.0.0.1:1", None),
        ("http://127.0.0.1:2/", None),
        # The port of a node on another host.
        ("192.0.2.77:9002", None),
        ("n1:9002", None),
        ("elsewhere:9002", None),
        ("9999", None),
        ("", None),
        (" ", None),
        (None, None),
    ],
)
def test_an_address_names_a_node(address, node):
    assert node_at(address, NODES) == node


def test_without_known_hosts_the_port_decides():
    assert node_at("192.0.2.77:9002", {"n2": NodeIdentifiers(2, (9002,))}) == "n2"
