"""Linearizability of one key: zones in near-linear time, a search for what zones cannot decide, and
a proof of either answer.

Knows the operations of one key; knows nothing of guarantees, nodes, roles or faults.
"""
