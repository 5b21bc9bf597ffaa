"""Print a completion script for your shell. For bash: eval "$(kvsim completion bash)"."""

from __future__ import annotations

import argparse

from kvsim.errors import UsageError

SHELLS = ("bash", "zsh", "tcsh")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS, help="which shell")


def run(arguments: argparse.Namespace) -> int:
    try:
        import shtab
    except ImportError as error:
        raise UsageError("completion needs the package shtab: pip install shtab") from error
    print(shtab.complete(_whole_parser(), shell=arguments.shell))
    return 0


def _whole_parser() -> argparse.ArgumentParser:
    from kvsim.cli import COMMANDS, command_module

    whole = argparse.ArgumentParser(prog="kvsim")
    commands = whole.add_subparsers()
    for name, text in COMMANDS.items():
        command_module(name).configure(commands.add_parser(name, help=text))
    return whole
