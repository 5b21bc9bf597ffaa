"""Start the client: `python -I -S nodes/kvstore/kv_client.py --port 9001 get city`.

Like `__main__`, this file only sets the module path; the client itself is in client.py.
"""

import sys

HERE = __file__.rpartition("/")[0] or "."
sys.path.insert(0, HERE + "/..")

from kvstore.client import main  # noqa: E402  (the path has to be set first)

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
