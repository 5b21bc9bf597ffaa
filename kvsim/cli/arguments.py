"""What the commands' argument parsers share: mistakes end in exit 4 with a hint, and common options are worded once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NoReturn

from kvsim.errors import UsageError
from kvsim.limits import AS_WRITTEN, CALIBRATED, checked


class Parser(argparse.ArgumentParser):
    """argparse, with kvsim's exit status for mistakes and help that keeps its paragraphs."""

    def __init__(self, **settings: object) -> None:
        super().__init__(formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}\n{self.format_usage().strip()}\n{self.prog} --help tells more")


def add_cluster(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c",
        "--cluster",
        type=Path,
        default=Path("cluster.yaml"),
        metavar="FILE",
        help="the cluster file (default: cluster.yaml)",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for scripts")


def add_program(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--program",
        metavar="PROGRAM",
        help="use this program for every node: a folder in nodes/, or a path to a node.yaml",
    )
    parser.add_argument(
        "-o",
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set an option that the program's node.yaml names; may be repeated",
    )


def add_stage(parser: argparse.ArgumentParser) -> None:
    """What a run is played on, where not on what its scenario names."""
    parser.add_argument(
        "-c",
        "--cluster",
        type=Path,
        metavar="FILE",
        help="play on this cluster instead of the one that the scenario names",
    )
    add_program(parser)
    add_cell(parser)
    add_time_limits(parser)


def add_cell(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cell",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="only the cells of a scenario's matrix that have this value; may be repeated",
    )


def add_time_limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--time-limits",
        type=_time_limits,
        default=CALIBRATED,
        metavar="HOW",
        help=f"{CALIBRATED}: kvsim's own limits (those that no file says) are stretched by how slow this machine is at the start; "
        f"{AS_WRITTEN}: none is; x3: all are three times as long, written ones too (default: {CALIBRATED})",
    )


def _time_limits(word: str) -> str:
    try:
        return checked(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def options_of(arguments: argparse.Namespace) -> dict[str, str]:
    """`-o name=value` as a mapping. Raises UsageError for one without `=`."""
    pairs = [text.partition("=") for text in arguments.option]
    wrong = [name for name, equals, _ in pairs if not equals]
    if wrong:
        raise UsageError(f"-o {wrong[0]}: expected NAME=VALUE")
    return {name: value for name, _, value in pairs}
