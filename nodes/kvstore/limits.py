"""Limits for a single client. A client that exceeds a limit gets an error or is dropped."""

KEY_BYTES_MAX = 1024
VALUE_BYTES_MAX = 1 << 20
LINE_BYTES_MAX = KEY_BYTES_MAX + VALUE_BYTES_MAX + 64

# arguments of one RESP request, its verb included
ARGUMENTS_MAX = 1024
REQUEST_BYTES_MAX = 2 << 20
INLINE_BYTES_MAX = 16 << 10

# read from one client at a time
READ_BYTES = 65536
# replies kept for one client; above this its further requests wait
OUT_BYTES_MAX = 1 << 20
# a client with unsent replies that reads none of them for this long is dropped
STALL_S = 30.0
CONNECTIONS_MAX = 10_000
# file descriptors kept for the log, snapshots and other nodes
RESERVED_FDS = 32
REFUSALS_LOGGED_PER_S = 1000
