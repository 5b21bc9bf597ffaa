"""The reference store: a small leader-and-follower key-value store, and the client that speaks to it.

    flags → main → server (sockets, one epoll loop) → session (one client's bytes)
          → node (roles, the write gate) → engine (memory and log) → record (how an entry lies on disk)

It knows nothing of the tester. Until it listens it imports modules written in C and its own, nothing else:
a node's imports are its start-up time.
"""
