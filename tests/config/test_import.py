"""Reading files must not delay the start of a command: the readers import nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HEAVY = {
    "json",
    "argparse",
    "logging",
    "subprocess",
    "socket",
    "difflib",
    "asyncio",
    "http",
    "psutil",
    "tempfile",
    "random",
}


def test_the_readers_import_nothing_heavy() -> None:
    code = (
        "import sys, yaml; before = set(sys.modules)\n"
        "import kvsim.config.cluster_loader, kvsim.config.scenario_loader, kvsim.config.lint\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert HEAVY & set(done.stdout.split()) == set()
