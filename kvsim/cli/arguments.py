"""What the commands' argument parsers share: what a command is, the parser, common options.

Mistakes in arguments end in exit status 4 with a hint.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from kvsim.config.variables import new_seed
from kvsim.errors import UsageError
from kvsim.run_directory import latest_run
from kvsim.text import did_you_mean
from kvsim.timeouts import AS_WRITTEN, CALIBRATED, parse_time_limits


class Subcommand(NamedTuple):
    """One command: the text of its --help, its arguments, and the function that returns its exit
    status. A command's module lists its commands by name in `COMMANDS`."""

    description: str | None
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """argparse, with kvsim's exit status for mistakes and help that keeps its paragraphs.

    All wrong values and unknown options are reported at once.
    """

    def __init__(self, prog: str, description: str | None) -> None:
        super().__init__(
            prog=prog,
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self._mistakes: list[str] = []

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """The arguments. Raises UsageError with every mistake in them."""
        self._mistakes = []
        arguments, unknown = self.parse_known_args(args, namespace)
        options = [word for word in unknown if word.startswith("-")]
        # What follows an unknown option may be its value.
        self._mistakes += [self._unknown(word) for word in options or unknown]
        if self._mistakes:
            self._raise(self._mistakes)
        return arguments

    def error(self, message: str) -> NoReturn:
        self._raise([*self._mistakes, message])

    def _raise(self, mistakes: list[str]) -> NoReturn:
        usage = f"{self.format_usage().strip()}\n{self.prog} --help describes the arguments"
        raise UsageError("\n".join([*mistakes, usage]))

    def _unknown(self, word: str) -> str:
        option = word.partition("=")[0]
        if not option.startswith("-"):
            return f"{word!r}: there is one argument too many"
        known = [name for name in self._option_string_actions if name.startswith("--")]
        return f"there is no option {option}{did_you_mean(option, known)}"

    # The two places where argparse refuses a value. It ends at the first one; kvsim goes on.

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError as error:
            self._mistakes.append(str(error))
            return action.default

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError:
            words = [str(choice) for choice in action.choices or ()]
            found = f"{value!r}{did_you_mean(str(value), words)}"
            name = "/".join(action.option_strings) or action.metavar or action.dest
            self._mistakes.append(
                f"argument {name}: expected one of {', '.join(words)}, found {found}"
            )


def output_file(text: str) -> Path:
    """The type of an argument that names a file to write. It is refused before anything starts."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder; name a file in it")
    if path.exists() and not os.access(path, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text} cannot be written: permission denied")
    output_folder(str(path.parent))
    return path


def output_folder(text: str) -> Path:
    """The type of an argument that names a folder to write to, which may not exist yet.

    Tries a temporary file in the nearest folder that exists, because permissions do not tell of
    read-only file systems, full disks or /proc.
    """
    import tempfile

    path = Path(text)
    try:
        parents = (path.absolute(), *path.absolute().parents)
        existing = next(folder for folder in parents if folder.exists())
        with tempfile.TemporaryFile(dir=existing):
            return path
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text} cannot be written: {error.strerror}") from None


def write_output(path: Path, text: str) -> None:
    """Write a file that an argument named, and its folder. Raises UsageError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from error


def add_cluster(parser: argparse.ArgumentParser) -> None:
    """`--cluster`: the file of the cluster that is up, or is to be started."""
    parser.add_argument(
        "-c",
        "--cluster",
        type=Path,
        default=Path("cluster.yaml"),
        metavar="FILE",
        help="the cluster file (default: cluster.yaml)",
    )


def add_run(
    parser: argparse.ArgumentParser, what: str, name: str = "run", metavar: str = "RUN"
) -> None:
    """An argument that names a recorded run; without it, `chosen_run` takes the newest."""
    parser.add_argument(
        name,
        nargs="?",
        type=Path,
        metavar=metavar,
        help=f"{what} (default: the newest run in runs/, which is named on standard error)",
    )


def chosen_run(reference: Path | None) -> Path:
    """The run directory that was named, or the newest one. Raises UsageError."""
    if reference is not None:
        return reference
    newest = latest_run()
    print(f"the newest run: {newest}", file=sys.stderr)
    return newest


def add_scenario(parser: argparse.ArgumentParser, nargs: str | None = None) -> None:
    """`SCENARIO`: one or, with `nargs`, several."""
    parser.add_argument(
        "scenario",
        nargs=nargs,
        type=Path,
        metavar="SCENARIO",
        help="a scenario file, or the name of a scenario that kvsim brings along: roles, "
        "storms/majority",
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`: output for scripts."""
    parser.add_argument("--json", action="store_true", help="print JSON for scripts")


def add_program(parser: argparse.ArgumentParser) -> None:
    """`--program` and `--option`: what the nodes run."""
    parser.add_argument(
        "--program",
        metavar="PROGRAM",
        help="use this program for every node: a folder in nodes/, or a path to a node.yaml",
    )
    add_option(parser)


def add_option(parser: argparse.ArgumentParser) -> None:
    """`--option`: a value for the templates of node.yaml."""
    parser.add_argument(
        "-o",
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set an option that the program's node.yaml names; may be repeated",
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """What a run uses instead of what its scenario names."""
    parser.add_argument(
        "-c",
        "--cluster",
        type=Path,
        metavar="FILE",
        help="use this cluster instead of the one that the scenario names: a file, or the name of "
        "one that kvsim brings along",
    )
    add_program(parser)
    add_cell(parser)
    add_time_limits(parser)


def add_cell(parser: argparse.ArgumentParser) -> None:
    """`--cell`: a choice from the scenario's matrix."""
    parser.add_argument(
        "--cell",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="only the cells of a scenario's matrix that have this value; may be repeated",
    )


def add_time_limits(parser: argparse.ArgumentParser) -> None:
    """`--time-limits`: how time limits are adapted to the speed of this machine."""
    parser.add_argument(
        "--time-limits",
        type=_time_limits,
        default=CALIBRATED,
        metavar="HOW",
        help=f"{CALIBRATED}: kvsim's default limits are multiplied by how slow this machine is at "
        f"the start; limits that a file states are kept. {AS_WRITTEN}: all are kept. x3: all are "
        f"multiplied by three (default: {CALIBRATED})",
    )


def _time_limits(text: str) -> str:
    try:
        return parse_time_limits(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def options_of(arguments: argparse.Namespace) -> dict[str, str]:
    """`-o name=value` as a mapping. Raises UsageError for one without `=`."""
    return parse_pairs("-o", arguments.option, "NAME=VALUE")


def chosen_seed(arguments: argparse.Namespace) -> int:
    """The value of `--seed`, or a new seed."""
    seed: int | None = arguments.seed
    return new_seed() if seed is None else seed


def parse_pairs(option: str, texts: list[str], expected: str) -> dict[str, str]:
    """The values of a repeated option, each `name=value`, as a mapping. Raises UsageError."""
    pairs = [text.partition("=") for text in texts]
    wrong = [name for name, equals, _ in pairs if not equals]
    if wrong:
        raise UsageError(f"{option} {wrong[0]}: expected {expected}")
    return {name: value for name, _, value in pairs}
