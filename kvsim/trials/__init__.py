"""One kvsim run as a process of its own, and many side by side. Knows command lines and proofs; nothing of nodes, points or workers."""
