"""kvsim starts a replicated key-value store as real processes, drives it, breaks it, and proves
what it does."""

__version__ = "0.2.0"
