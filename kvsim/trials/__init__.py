"""Many kvsim runs: each is a process that this package starts, limits and reads the proof of.

Knows command lines, scenario files and proofs; nothing of nodes, grades or campaign workers.
"""
