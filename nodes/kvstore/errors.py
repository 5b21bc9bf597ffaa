"""The errors that end a start, each one line for the user. Knows nothing of who prints it."""


class StartError(Exception):
    """Something given to the node is wrong: `str(error)` is one clear line, the exit status is 2."""


class DiskFullError(Exception):
    """There is no room for a write. It did not happen; reads go on, and so do writes once there is room."""
