"""Write the programs `kvstore` and `kv_client` into a folder.

    python nodes/kvstore/build.py build/

Then `./build/kvstore --port 9001 …` runs a node. Each program is a two-line shell script that runs
the resolved interpreter, not a shim of it, with an absolute path.
"""

import sys
from pathlib import Path
from shlex import quote

HERE = Path(__file__).resolve().parent
PROGRAMS = {"kvstore": HERE / "__main__.py", "kv_client": HERE / "kv_client.py"}


def script(program: Path) -> str:
    """Return the text of the shell script that starts one program."""
    python = Path(sys.executable).resolve()
    return f'#!/bin/sh\nexec {quote(str(python))} -I -S {quote(str(program))} "$@"\n'


def build(folder: Path) -> list[Path]:
    """Write both scripts; return their paths. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, program in PROGRAMS.items():
        path = folder / name
        path.write_text(script(program))
        path.chmod(0o755)
        paths.append(path)
    return paths


def main(argv: list[str]) -> int:
    """Build into the folder given as the only argument; return the exit status."""
    if len(argv) != 1 or argv[0].startswith("-"):
        sys.stderr.write("usage: python nodes/kvstore/build.py FOLDER\n")
        return 2
    for path in build(Path(argv[0])):
        sys.stdout.write(f"{path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
