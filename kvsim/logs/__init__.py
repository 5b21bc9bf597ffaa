"""Reading what processes write: one growing file, its size, several files merged.

Knows nothing of the processes themselves.
"""
