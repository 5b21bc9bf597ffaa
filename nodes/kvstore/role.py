"""The two parts a node can play. Nothing else: what a role may do is decided in `node.py`.

Imported when a role is first asked for, not at start: `enum` alone costs half as much again as a bare
interpreter.
"""

from enum import Enum


class Role(Enum):
    """What a node is: fixed at start by `--role`; the value is the word on the command line and in STATUS."""

    LEADER = "leader"
    FOLLOWER = "follower"
