"""Faults of disks: full, failing or slow, from inside the node where its program can be reached, from outside where it cannot."""
