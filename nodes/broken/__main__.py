"""Start a reference store with one planted bug: `python -I -S nodes/broken/__main__.py BUG --port=… …`.

`BUG` is a file of bugs/. As kept and small as the reference store's own; knows nothing of what a bug does.
"""

import sys

HERE = __file__.rpartition("/")[0] or "."
sys.path.insert(0, HERE + "/..")


def bug_module(name):
    """Return the module of one bug; exits with one line when there is none."""
    try:
        return __import__(f"broken.bugs.{name}", fromlist=["run"])
    except ModuleNotFoundError:
        sys.exit(f"broken: there is no bug {name!r}; bugs.yaml lists them (kvsim: -o bug=NAME)")


if __name__ == "__main__":
    sys.exit(bug_module(sys.argv[1] if len(sys.argv) > 1 else "none").run(sys.argv[2:]))
