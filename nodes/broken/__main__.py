"""Start a store with a planted bug: `python -I -S nodes/broken/__main__.py BUG --port=…`.

`BUG` is the name of a file in bugs/. This file is small for the same reason as the `__main__` of
the reference store.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

HERE = __file__.rpartition("/")[0] or "."
sys.path.insert(0, HERE + "/..")


def bug_module(name: str) -> "ModuleType":
    """Return the module of one bug; exits with one line if there is none."""
    try:
        return __import__(f"broken.bugs.{name}", fromlist=["run"])
    except ModuleNotFoundError:
        sys.exit(f"broken: there is no bug {name!r}; bugs.yaml lists them (kvsim: -o bug=NAME)")


if __name__ == "__main__":
    sys.exit(bug_module(sys.argv[1] if len(sys.argv) > 1 else "none").run(sys.argv[2:]))
