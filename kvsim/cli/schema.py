"""Print the JSON Schema of a kind of file, for editors that check and complete while you type.

It comes out of the same tables that read the files. In VS Code: kvsim schema scenario > scenario.schema.json, and begin a file with
# yaml-language-server: $schema=scenario.schema.json
"""

from __future__ import annotations

import argparse
import json

from kvsim.config.schema import LANGUAGES, json_schema, schema_of
from kvsim.selftest.table import TABLE

BUGS = "bugs"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=(*LANGUAGES, BUGS), help="which file")


def run(arguments: argparse.Namespace) -> int:
    if arguments.kind == BUGS:
        schema = schema_of(TABLE, "bugs.yaml: the planted bugs of the selftest, and what must catch each")
    else:
        schema = json_schema(arguments.kind)
    print(json.dumps(schema, indent=2))
    return 0
