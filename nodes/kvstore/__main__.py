"""Start the reference store: `python -I -S nodes/kvstore/__main__.py --port=… ` or `python -m nodes.kvstore`.

Kept tiny, since a script is compiled anew at every start. It puts the folder above on the module path, so
that the package is `kvstore` however it was started, and hands over. It knows nothing of flags or sockets.
"""

import sys

HERE = __file__.rpartition("/")[0] or "."
sys.path.insert(0, HERE + "/..")

from kvstore.main import run  # noqa: E402  (the path has to be set first)

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
