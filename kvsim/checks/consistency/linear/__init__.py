"""Linearizability of one key: zones in near-linear time, a search for what zones cannot decide, proof of
either answer.

Knows columns of one key; knows nothing of promises, nodes, roles or faults.
"""
