"""What kvsim needs of a machine, and the one line that says what is missing and how to get it.

Imported before everything else, also by a Python that is too old for the rest (3.6 or newer):
plain syntax only, and types in comments.
"""

import sys

OLDEST = (3, 11)
# Module → the package that has it.
PACKAGES = {"yaml": "PyYAML", "msgspec": "msgspec", "rich": "rich", "shtab": "shtab"}


def unfit(version, platform, words):
    # type: (tuple[int, ...], str, list[str]) -> str
    """Why kvsim cannot run on this Python or system, and what to do; empty where it can.

    `words` are the arguments of the command.
    """
    if platform != "linux":
        return (
            "kvsim runs on Linux only, WSL included: it needs parent-death signals, pidfds, "
            f"abstract sockets and netlink, which {platform} has not; run it in a container: "
            'docker run -it -v "$PWD:/work" -w /work python:3.13 bash'
        )
    if version < OLDEST:
        found = ".".join(map(str, version[:3]))
        needed = ".".join(map(str, OLDEST))
        return f"kvsim needs Python {needed} or newer, and this is {found}{_cure(words, needed)}"
    return ""


def missing_package(module, words):
    # type: (str | None, list[str]) -> str
    """The line for a module that could not be imported; empty where kvsim does not need it."""
    package = PACKAGES.get((module or "").partition(".")[0])
    if package is None:
        return ""
    return f"kvsim needs the package {package}, which {sys.executable} has not{_cure(words)}"


def _cure(words, needed=""):
    # type: (list[str], str) -> str
    """The command that helps: in a checkout it makes an environment with everything."""
    import shlex
    from pathlib import Path

    root = Path(__file__).resolve().parent.parent
    if (root / "Makefile").is_file():
        here = root == Path.cwd()
        make = "make setup" if here else "make -C " + shlex.quote(str(root)) + " setup"
        python = ".venv/bin/python" if here else str(root / ".venv/bin/python")
        command = " ".join(map(shlex.quote, [python, "-m", "kvsim", *words]))
        return f": {make} && {command}"
    if needed:
        return f": install kvsim into Python {needed} or newer"
    return f": {shlex.quote(sys.executable)} -m pip install " + " ".join(PACKAGES.values())
