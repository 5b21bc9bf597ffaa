"""Judge a recorded run again, offline, from its own files, and find whatever was edited since.

The verdict comes out of the recorded history and logs again; it must be the written one, and every file must still have the
digest that proof.json names. What this cannot do: tell a run from one that somebody forged as a whole, consistently.
Exit status: the verdict's, or 3 when the proof does not stand.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from kvsim.checks.verdict import EXITS
from kvsim.cli.arguments import add_json
from kvsim.cli.terminal import show
from kvsim.errors import Exit
from kvsim.evidence.verify import verify
from kvsim.rundir import find_run


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", type=Path, metavar="RUN", help="a run directory, or its proof.json; runs/latest is the newest"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    found = find_run(arguments.run)
    proof, problems = verify(found)
    if arguments.json:
        print(json.dumps({"stands": not problems, "verdict": str(proof.verdict), "problems": problems}))
    elif problems:
        show(
            "\n".join(
                [
                    *problems,
                    f"the proof does NOT stand; judged again the run gives {str(proof.verdict).upper()}",
                ]
            )
        )
    else:
        files = len(json.loads(found.proof_json.read_text(encoding="utf-8"))["files"])
        show(
            f"the proof stands: {files} files unchanged, {len(proof.claims)} claims judged again\nVERDICT: {str(proof.verdict).upper()}"
        )
    return int(Exit.INVALID if problems else EXITS[proof.verdict])
