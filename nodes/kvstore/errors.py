"""The errors that stop a start or refuse a write. The text of each is one line for the user."""


class StartError(Exception):
    """An argument or a file of the node is wrong. The node ends with status 2."""


class UnreadableFileError(OSError):
    """A file that was whole when the node started can no longer be read. The node ends."""


class DiskFullError(Exception):
    """The disk has no space for a write. The write did not happen.

    Reads continue. Writes continue as soon as there is space again.
    """
