"""The names that templates of a program may use. Pure.

node.yaml is checked against these tables, and the docs print them. `kvsim.network.addresses` makes
the values.
"""

from __future__ import annotations

from collections.abc import Iterable

from kvsim.config.program import Program, Role
from kvsim.config.template import Known

# The name of kvsim's own clients, where a node's name is expected.
CLIENT = "client"
# Also inside lists, and as {leader.…} and {nodes.NAME.…}.
EVERY_NODE = {
    "name": "the node's name in cluster.yaml: n1",
    "id": "its position in cluster.yaml, from 1",
    "index0": "its position in cluster.yaml, from 0",
    "role": "its role in the program's own word (`role_words`)",
    "host": "the address it listens on: 127.0.0.1",
    "port": "its client port",
    "addr": "host:port",
    "data_dir": "its own empty folder",
}
THIS_NODE = {
    **EVERY_NODE,
    "python": "the Python interpreter that runs kvsim",
    "program_dir": "the folder of node.yaml",
    "cluster": "the cluster's name",
}
OTHER_NAMES = {
    "ports.NAME": "an extra port of this node, named in `ports`",
    "leader.host, leader.port, leader.addr, …": "the leader as this node is to reach it",
    "nodes.n2.port, nodes.n2.ports.NAME, …": "any node by its name",
    "OPTION": "any key of the program's `options`",
}
REQUEST_NAMES = {
    "key": "the key of the request",
    "value": "the value of the request",
    "expected": "the value that a compare-and-set expects",
    "member": "the name of the node that is added to the members, or removed",
}
# The fields of each request that is a verb of scenarios.
REQUEST_FIELDS: dict[str, tuple[str, ...]] = {
    "put": ("key", "value"),
    "get": ("key",),
    "delete": ("key",),
    "cas": ("key", "expected", "value"),
    "promote": (),
    "member_add": ("member",),
    "member_remove": ("member",),
}
# `{value.json}`: the forms of a request's field.
REQUEST_FORMS = {
    "raw": "unchanged",
    "json": "as a JSON string, in its quotes",
    "url": "percent-encoded",
    "base64": "in base64",
    "bytes": "its length in bytes, as a decimal number",
    **{f"u{bits}": f"its length in bytes, as {bits} bits, big-endian" for bits in (8, 16, 32, 64)},
    **{
        f"u{bits}le": f"its length in bytes, as {bits} bits, little-endian" for bits in (16, 32, 64)
    },
}
RESERVED = (
    frozenset(THIS_NODE)
    | frozenset(REQUEST_NAMES)
    | {"leader", "nodes", "ports", "all", "others", "followers"}
)


def known_names(
    ports: Iterable[str],
    options: Iterable[str],
    nodes: Iterable[str] | None = None,
    leader: bool = True,
) -> Known:
    """The names for templates of a program.

    `nodes` None: any node name. `leader` False: no node is started as leader.
    """
    extra = {f"ports.{port}" for port in ports}
    per_node = frozenset(EVERY_NODE) | extra
    others = [
        *["leader"] * leader,
        *(f"nodes.{node}" for node in ("*" if nodes is None else nodes)),
    ]
    of_others = {f"{prefix}.{name}" for prefix in others for name in per_node}
    return Known(frozenset(THIS_NODE) | extra | of_others | frozenset(options), per_node)


def known_in_requests(known: Known) -> Known:
    """The names of a node, and the fields of a request in all their forms; no lists."""
    fields = {f"{name}.{form}" for name in REQUEST_NAMES for form in REQUEST_FORMS}
    return Known(known.names | frozenset(REQUEST_NAMES) | fields)


def known_in_role_words(known: Known) -> Known:
    """The names of a node without any role."""
    return Known(
        frozenset(name for name in known.names if name.rpartition(".")[2] != "role"),
        known.item_names - {"role"},
    )


def role_word(program: Program, role: Role) -> str:
    """What `{role}` is for this program."""
    return program.role_words.get(role, role.value)
