"""The commands that print input for other programs: JSON Schemas, and shell completion."""

from __future__ import annotations

import argparse
import json

from kvsim.cli.arguments import Subcommand
from kvsim.config.schema.export import LANGUAGES, json_schema, schema_of
from kvsim.errors import Exit, UsageError
from kvsim.runner.registry import REGISTRY
from kvsim.selftest.bugs_file import BUGS_FILE

SCHEMA = """\
Print the JSON Schema of a kind of file, for editors that check and complete while you type.

It is generated from the tables that read the files. In VS Code:
kvsim schema scenario > scenario.schema.json, and begin a file with
# yaml-language-server: $schema=scenario.schema.json
"""

COMPLETION = 'Print a completion script for your shell. For bash: eval "$(kvsim completion bash)".'

BUGS = "bugs"
BUGS_TITLE = "bugs.yaml: the planted bugs of the selftest, and what must catch each"
SHELLS = ("bash", "zsh", "tcsh")


def configure_schema(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=(*LANGUAGES, BUGS), help="the kind of file")


def run_schema(arguments: argparse.Namespace) -> int:
    is_bugs = arguments.kind == BUGS
    schema = schema_of(BUGS_FILE, BUGS_TITLE) if is_bugs else json_schema(arguments.kind, REGISTRY)
    print(json.dumps(schema, indent=2))
    return int(Exit.PASS)


def configure_completion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def run_completion(arguments: argparse.Namespace) -> int:
    try:
        import shtab
    except ImportError as error:
        raise UsageError("completion needs the package shtab: pip install shtab") from error
    print(shtab.complete(_all_commands_parser(), shell=arguments.shell))
    return int(Exit.PASS)


def _all_commands_parser() -> argparse.ArgumentParser:
    from kvsim.cli import SUMMARIES, find_command

    parser = argparse.ArgumentParser(prog="kvsim")
    subparsers = parser.add_subparsers()
    for name, text in SUMMARIES.items():
        find_command(name).configure(subparsers.add_parser(name, help=text))
    return parser


COMMANDS = {
    "schema": Subcommand(SCHEMA, configure_schema, run_schema),
    "completion": Subcommand(COMPLETION, configure_completion, run_completion),
}
