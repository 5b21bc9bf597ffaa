"""Describe an unknown store: try what is usual, keep what works, and write it down as node.yaml."""
