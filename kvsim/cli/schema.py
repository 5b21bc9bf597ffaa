"""Print the JSON Schema of a kind of file, for editors that check and complete while you type.

It comes out of the same tables that read the files. In VS Code: kvsim schema scenario > scenario.schema.json, and begin a file with
# yaml-language-server: $schema=scenario.schema.json
"""

from __future__ import annotations

import argparse
import json

from kvsim.config.schema import json_schema


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=("scenario", "cluster", "program"), help="which file")


def run(arguments: argparse.Namespace) -> int:
    print(json.dumps(json_schema(arguments.kind), indent=2))
    return 0
