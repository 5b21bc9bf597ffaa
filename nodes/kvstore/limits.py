"""How much one client may ask for, in one place. What breaks a limit is told so, or dropped; memory stays bounded."""

KEY_BYTES_MAX = 1024
VALUE_BYTES_MAX = 1 << 20
LINE_BYTES_MAX = KEY_BYTES_MAX + VALUE_BYTES_MAX + 64

ARRAY_WORDS_MAX = 1024  # words in one RESP request
REQUEST_BYTES_MAX = 2 << 20
INLINE_BYTES_MAX = 16 << 10

READ_BYTES = 65536  # taken from one client at a time
OUT_BYTES_MAX = 1 << 20  # replies held for one client before its requests are left waiting
STALL_S = 30.0  # a client that has replies waiting and takes none of them for so long is dropped
CONNECTIONS_MAX = 10_000
OWN_FILES = 32  # file descriptors kept for the log, snapshots and other nodes
REFUSALS_LOGGED_PER_S = 1000
