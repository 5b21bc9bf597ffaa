"""`python -m kvsim` and the `kvsim` script."""

import sys

# `python -m` puts the working directory first, where a file like random.py of the user would hide
# the standard library's. Modules of the user are still found, after those.
if __name__ == "__main__" and not getattr(sys.flags, "safe_path", False):
    sys.path.append(sys.path.pop(0))

from kvsim.prerequisites import unfit

# Before the import of what a Python that is too old cannot read.
REASON = unfit(sys.version_info[:3], sys.platform, sys.argv[1:])
if REASON:
    sys.stderr.write(f"kvsim: {REASON}\n")
    sys.exit(4)

from kvsim.cli import main as cli_main  # noqa: E402  (not before the check)
from kvsim.process.inherited import take_over_process  # noqa: E402


def main() -> None:
    """Run the command line and exit with its status."""
    take_over_process()
    sys.exit(cli_main(sys.argv[1:]))


if __name__ == "__main__":
    main()
