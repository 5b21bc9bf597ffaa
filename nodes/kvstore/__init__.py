"""The reference store: a small leader-and-follower key-value store, and the client that speaks to it.

A request travels: server (sockets, one epoll loop) → sniff (which protocol?) → session or session_resp (one client's
bytes, decoded by lines or resp) → node (roles, the write gate) → engine (state in memory) → log, segment, record (on
disk); its reply waits in connection until the turn is committed, and in holds until enough nodes have it.
Beside that: main puts a node together from flags, datadir and meta; snapshot and compact keep the log short; cluster,
promotion, leading, following, frames and outgoing deal with other nodes and are imported when there are any.

It knows nothing of the tester. Until it listens it imports modules written in C and its own, nothing else:
a node's imports are its start-up time.
"""
