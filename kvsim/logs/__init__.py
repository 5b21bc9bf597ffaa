"""Reading what processes write: one file, a flood of it, several merged.

Knows nothing of the processes themselves.
"""
