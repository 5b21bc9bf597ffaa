"""Judge a history by what its program promises, offline: of a run with loads, or a file, kvsim's own or somebody else's.

A run is judged by its program's promises; a file by those that --promise names, or as one linearizable store. Histories of
Jepsen's and Porcupine's register tests can be read (--format), so that kvsim's checks serve without its launcher.
Exit status: the verdict's.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from kvsim.checks.around import with_logs
from kvsim.checks.consistency.judge import Terms, check
from kvsim.checks.consistency.promises import PROMISES
from kvsim.checks.consistency.report import Report, render, to_json
from kvsim.checks.promised import promises_of, terms_of
from kvsim.checks.verdict import EXITS
from kvsim.cli.arguments import add_json
from kvsim.cli.terminal import show
from kvsim.errors import UsageError
from kvsim.history import formats, history_file
from kvsim.history.history import History
from kvsim.history.record import Record
from kvsim.rundir import META, find_run

ONE_COPY = {"leader_reads": "linearizable"}
BINARY = "kvsim"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what",
        type=Path,
        metavar="RUN|HISTORY",
        help="a run directory, or a file; runs/latest is the newest run",
    )
    parser.add_argument(
        "--format",
        choices=[BINARY, *formats.FORMATS],
        default=BINARY,
        help="what the file holds (default: kvsim, its own binary form)",
    )
    parser.add_argument(
        "--promise",
        action="append",
        default=[],
        metavar="WHAT=WORD",
        help=f"judge by this promise instead; WHAT is one of {', '.join(PROMISES)}; may be repeated",
    )
    parser.add_argument(
        "--export",
        type=Path,
        metavar="FILE",
        help="also write the operations as lines of JSON (format kvsim-jsonl)",
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    history, promises, terms, record = _found(arguments)
    promises = _said(arguments.promise) or promises
    report = check(history, promises, terms)
    if record is not None:
        report = with_logs(report, record)
    if arguments.export:
        _export(history, arguments.export)
    _print(report, as_json=arguments.json)
    return int(EXITS[report.verdict])


def _found(arguments: argparse.Namespace) -> tuple[History, Mapping[str, str], Terms, Record | None]:
    """The history, the promises and terms that come with it, and the run that it is of. Raises UsageError."""
    path: Path = arguments.what
    if (path / META).is_file():
        record = Record.load(find_run(path))
        if record.history is None:
            raise UsageError(
                f"{path}: this run had no load, so there is no history to judge; kvsim verify judges the rest"
            )
        return record.history, promises_of(record), terms_of(record), record
    if path.is_dir():
        raise UsageError(f"{path}: not a run directory (it has no {META})")
    read = history_file.load(path) if arguments.format == BINARY else formats.read(arguments.format, path)
    return read, ONE_COPY, Terms(), None


def _said(words: list[str]) -> dict[str, str]:
    """`writes=acked_by_leader` as a mapping; which words there are, the judge knows. Raises UsageError for one without `=`."""
    pairs = [word.partition("=") for word in words]
    wrong = [name for name, equals, _ in pairs if not equals]
    if wrong:
        raise UsageError(f"--promise {wrong[0]}: expected WHAT=WORD")
    return {name: word for name, _, word in pairs}


def _export(history: History, path: Path) -> None:
    try:
        with path.open("w", encoding="utf-8") as out:
            out.writelines(line + "\n" for line in history_file.json_lines(history))
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


def _print(report: Report, *, as_json: bool) -> None:
    if as_json:
        json.dump(to_json(report), sys.stdout)
        print()
    else:
        show(render(report).rstrip())
