"""`python -m kvsim` and the `kvsim` script."""

from __future__ import annotations

import sys

from kvsim.cli import main as cli_main


def main() -> None:
    """Run the command line and exit with its status."""
    sys.exit(cli_main(sys.argv[1:]))


if __name__ == "__main__":
    main()
