"""Judge a history, offline, by what its program guarantees: of a run with loads, or a file.

A run is judged by its program's guarantees. A file is judged by the guarantees that --guarantee
names, or as one linearizable store. It may be a history of another tool, such as Jepsen's
history.edn, history.txt, jepsen.log and test.jepsen, Maelstrom's, Porcupine's operations, those of
MIT's 6.5840 and of etcd's robustness tests, also compressed by gzip. The format is guessed from
the content and printed.
--report draws the file as a page: every operation on one clock, with the violation marked.
Exit status: that of the verdict.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from kvsim.argument_types import Seconds
from kvsim.checks.consistency.case import CheckOptions
from kvsim.checks.consistency.check import check
from kvsim.checks.consistency.guarantees import GUARANTEES
from kvsim.checks.consistency.report import Report, render, to_json
from kvsim.checks.linearizability.budget import Budget
from kvsim.checks.verdict import EXITS
from kvsim.checks.workload_checks import check_options_of, guarantees_of, judge_loads
from kvsim.cli.arguments import (
    Subcommand,
    add_json,
    add_run,
    chosen_run,
    output_file,
    parse_pairs,
    write_output,
)
from kvsim.cli.output import show
from kvsim.cli.waiting_line import waiting_for
from kvsim.errors import UsageError
from kvsim.history import formats
from kvsim.history.build import build_history
from kvsim.history.formats import kvsim_jsonl
from kvsim.history.history import History
from kvsim.history.run_record import RunRecord
from kvsim.report.timeline.history_model import HistorySource, history_timeline_data
from kvsim.report.timeline.html_page import render_page
from kvsim.run_directory import META, find_run

# How a file is judged without --guarantee.
LINEARIZABLE = {"leader_reads": "linearizable"}


def configure(parser: argparse.ArgumentParser) -> None:
    add_run(parser, "a run directory, or a file", name="what", metavar="RUN|HISTORY")
    parser.add_argument(
        "--format",
        choices=formats.names(),
        help="the format of the file (default: guessed from its content)",
    )
    parser.add_argument(
        "--initial",
        metavar="VALUE",
        help="the value that every key of the file had before the first operation "
        "(default: it was not there)",
    )
    parser.add_argument(
        "--guarantee",
        action="append",
        default=[],
        metavar="WHAT=LEVEL",
        help=f"judge by this guarantee instead; WHAT is one of {', '.join(GUARANTEES)}; "
        "may be repeated",
    )
    parser.add_argument(
        "--limit",
        type=Seconds(),
        default=Budget().seconds,
        metavar="SECONDS",
        help="the processor time for all searches and explanations together; keys that are not "
        f"decided by then are reported as undecided (default: {Budget().seconds:g})",
    )
    parser.add_argument(
        "--export",
        type=output_file,
        metavar="FILE",
        help="also write the history as lines of JSON (format kvsim-jsonl)",
    )
    parser.add_argument(
        "--report",
        nargs="?",
        type=_page,
        const=Path(),
        metavar="PAGE",
        help="also draw the file as a timeline, PAGE.html (default: the file's name with .html)",
    )
    add_json(parser)


def _page(text: str) -> Path:
    """The type of --report. Any other ending may be the file that is to be judged."""
    if not text.endswith(".html"):
        raise argparse.ArgumentTypeError(
            f"{text}: the page's name ends in .html; write --report behind the file to judge"
        )
    return output_file(text)


def run(arguments: argparse.Namespace) -> int:
    if not arguments.limit > 0:
        raise UsageError(f"--limit {arguments.limit:g}: expected a time above 0 seconds")
    path = chosen_run(arguments.what)
    page = _page_of(path, arguments.report)
    history, guarantees, options, record, format_name = _load(path, arguments)
    options = replace(options, budget=Budget(seconds=arguments.limit))
    guarantees = parse_pairs("--guarantee", arguments.guarantee, "WHAT=LEVEL") or guarantees
    with waiting_for(f"the judgement of {path}, for at most {arguments.limit:g} s of search"):
        if record is None:
            report = check(history, guarantees, options)
        else:
            report = judge_loads(record, history, guarantees, options)
    if arguments.export:
        _export(history, arguments.export)
    if page is not None:
        source = HistorySource(str(path), format_name, _again(path, arguments, page))
        _draw(page, history, report, source)
    _print(report, format_name, page, as_json=arguments.json)
    return int(EXITS[report.verdict])


def _page_of(path: Path, page: Path | None) -> Path | None:
    """The file of the page; None: none is to be written. Raises UsageError."""
    if page is None:
        return None
    if (path / META).is_file():
        raise UsageError(f"{path}: --report is for files; kvsim report {path} draws a run")
    if page != Path():
        return page
    try:
        return output_file(f"{path}.html")
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"--report: {error}") from error


def _again(path: Path, arguments: argparse.Namespace, page: Path) -> str:
    """The command that writes the page again."""
    words = ["kvsim", "check", str(path)]
    for option in ("format", "initial"):
        if getattr(arguments, option) is not None:
            words += [f"--{option}", getattr(arguments, option)]
    words += [word for guarantee in arguments.guarantee for word in ("--guarantee", guarantee)]
    return shlex.join([*words, "--report", str(page)])


def _draw(page: Path, history: History, report: Report, source: HistorySource) -> None:
    write_output(page, render_page(history_timeline_data(history, report, source)))


def _load(
    path: Path, arguments: argparse.Namespace
) -> tuple[History, Mapping[str, str], CheckOptions, RunRecord | None, str]:
    """The history, its guarantees and options, its run (None for a file), and how it was read.

    Raises UsageError.
    """
    if (path / META).is_file():
        if arguments.format is not None or arguments.initial is not None:
            raise UsageError(f"{path}: --format and --initial are for files; this is a run")
        record = RunRecord.load(find_run(path))
        history = build_history(record)
        if history is None:
            raise UsageError(
                f"{path}: this run had no load, so there is no history to judge; kvsim verify "
                "judges the rest"
            )
        return history, guarantees_of(record), check_options_of(record), record, ""
    if path.is_dir():
        raise UsageError(f"{path}: not a run directory (it has no {META})")
    if arguments.format is None:
        name, history = formats.read_guessed(path)
        how = f"{name}, guessed from the content"
    else:
        history, how = formats.read(arguments.format, path), arguments.format
    if arguments.initial is not None:
        initial = dict.fromkeys(history.operations.keys.strings, arguments.initial)
        history = replace(history, initial={**initial, **history.initial})
    return history, LINEARIZABLE, CheckOptions(), None, how


def _export(history: History, path: Path) -> None:
    try:
        with path.open("w", encoding="utf-8") as out:
            out.writelines(line + "\n" for line in kvsim_jsonl.write(history))
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


def _print(report: Report, format_name: str, page: Path | None, *, as_json: bool) -> None:
    if as_json:
        written = {} if page is None else {"timeline": str(page)}
        found = {**to_json(report), "format": format_name.partition(",")[0], **written}
        json.dump(found, sys.stdout)
        print()
        return
    read_as = f"format: {format_name}\n" if format_name else ""
    drawn = "" if page is None else f"\ntimeline: {page}"
    show((read_as + render(report)).rstrip() + drawn)


COMMANDS = {"check": Subcommand(__doc__, configure, run)}
