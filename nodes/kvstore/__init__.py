"""The reference store: a small key-value store with a leader and followers, and a client for it.

The path of a request: server (sockets, one epoll loop) → protocol_detection (which protocol?) →
line_session or resp_session (one client's bytes, decoded by lines or resp) → node (roles; every
write passes it) → engine (the state in memory) → log, segment, record (on disk). Its reply waits in
connection until the turn's writes are committed, and in commit_queue until enough nodes have them.

main builds a node from flags, data_directory and meta. snapshot and snapshot_writer keep the log
short, and lazy_state decodes a large snapshot when it is needed. cluster_member, promotion, leader,
follower, frames, connect and peer_addresses deal with other nodes; they are imported only when
there are other nodes.

The store knows nothing of kvsim. Until it listens, it imports only modules written in C and modules
of this package: imports are most of a node's start-up time. Only the type checker imports
`interfaces`.
"""
