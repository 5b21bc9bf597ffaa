"""Start the reference store: `python -I -S nodes/kvstore/__main__.py --port=…`.

`python -m nodes.kvstore` works as well. The file is small because Python compiles a script again at
every start. It puts the parent folder on the module path, so that the package is always named
`kvstore`, and calls `kvstore.main`. It parses no flags and opens no sockets.
"""

import sys

HERE = __file__.rpartition("/")[0] or "."
sys.path.insert(0, HERE + "/..")

from kvstore.main import run  # noqa: E402  (the path has to be set first)

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
