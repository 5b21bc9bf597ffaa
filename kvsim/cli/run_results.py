"""The commands that read recorded runs and start nothing: verify, report and serve."""

from __future__ import annotations

import argparse
import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from kvsim.argument_types import PORT_OR_ANY
from kvsim.checks.verdict import EXITS, Verdict
from kvsim.cli.arguments import Subcommand, add_json, add_run, chosen_run
from kvsim.cli.output import show
from kvsim.errors import Exit, UsageError
from kvsim.history.run_record import RunRecord
from kvsim.proof.proof import Proof
from kvsim.proof.replies import ClassifiedReplies, classify_replies
from kvsim.proof.verify import verify
from kvsim.report.junit import edited_junit
from kvsim.report.server import Server
from kvsim.report.write import edited_reports, write_reports
from kvsim.run_directory import RunDirectory, find_run
from kvsim.runner.recorded_files import edited_scenario_or_cluster
from kvsim.text import plural

VERIFY = """\
Judge a recorded run again, offline, from its own files, and find every file that was edited since.

The verdict is derived again from the recorded history and logs. It must be the verdict of
proof.json, and every file must have the digest that proof.json states. Every reply is classified
again from its bytes, by the description of its program in programs.json. This cannot detect a run
that was forged as a whole, consistently.
Exit status: that of the verdict, or 3 when the proof is not valid.
"""

REPORT = """\
Write a run's timeline (report.html) and trace.json again from its run directory.

Every `kvsim run` writes both at its end. Use this when kvsim itself was ended during the run, or
when the run was copied from another machine. --open shows the timeline in the browser.
trace.json is in the Trace Event format: load it in Perfetto or in Chrome's tracing.
"""

SERVE = """\
Show all runs in the browser: verdict, what went wrong first, timeline, proof and trace of each.

The runs that repeat, sweep and campaign made in the folder are listed too. Filters choose by
verdict, scenario and program. Serves on the loopback interface of this machine, until Ctrl-C.
Writes nothing except timelines that are missing.
"""

HOST = "127.0.0.1"


def configure_verify(parser: argparse.ArgumentParser) -> None:
    add_run(parser, "a run directory, or its proof.json")
    parser.add_argument(
        "--junit",
        type=Path,
        metavar="FILE",
        help="also compare what this file, which `kvsim run --junit` wrote, says of the run",
    )
    add_json(parser)


def run_verify(arguments: argparse.Namespace) -> int:
    run = find_run(chosen_run(arguments.run))
    found = verify_all(run, arguments.junit)
    proof, problems = found.proof, found.problems
    verdict = str(proof.verdict if proof else Verdict.UNKNOWN)
    if arguments.json:
        result = {"valid": not problems, "verdict": verdict, "problems": problems}
        replies = {"agreeing": found.replies.agreeing, "undecided": found.replies.undecided}
        print(json.dumps({**result, "replies": replies}))
    elif problems or proof is None:
        failed = f"the proof is NOT valid; judged again, the run gives {verdict.upper()}"
        show("\n".join([*problems, failed]))
    else:
        valid = (
            f"the proof is valid: {_file_count(run)} files unchanged, {len(proof.claims)} claims "
            f"judged again"
        )
        show("\n".join([valid, *_reply_lines(found.replies), f"VERDICT: {verdict.upper()}"]))
    return int(Exit.INVALID if problems or proof is None else EXITS[proof.verdict])


def _reply_lines(replies: ClassifiedReplies) -> Iterator[str]:
    if replies.agreeing:
        yield f"{plural(replies.agreeing, 'outcome')} classified again from the bytes of replies"
    for reason, count in sorted(replies.undecided.items()):
        yield f"{plural(count, 'outcome')} not classified again: {reason}"


class Verification(Struct, frozen=True):
    """What `kvsim verify` found. `proof`: as judged again; None: it cannot be judged."""

    proof: Proof | None
    problems: list[str]
    replies: ClassifiedReplies


def verify_all(run: RunDirectory, junit: Path | None = None) -> Verification:
    """`verify`, and the same for what is written from the run and what was written before it.

    `junit`: a file that `kvsim run --junit` wrote. Raises UsageError when it cannot be read.
    """
    proof, problems = verify(run)
    replies = ClassifiedReplies()
    if proof is not None:
        record = RunRecord.load(run)
        try:
            replies = classify_replies(run, record)
        except UsageError as error:
            problems.append(str(error))
        problems += replies.problems
        problems += edited_scenario_or_cluster(run)
        problems += edited_reports(run, record, proof)
        if junit is not None:
            problems += edited_junit(junit, run, proof)
    return Verification(proof, problems, replies)


def _file_count(run: RunDirectory) -> int:
    return len(json.loads(run.proof_json.read_text(encoding="utf-8"))["files"])


def configure_report(parser: argparse.ArgumentParser) -> None:
    add_run(parser, "a run directory")
    parser.add_argument("--open", action="store_true", help="show the timeline in the browser")


def run_report(arguments: argparse.Namespace) -> int:
    run = find_run(chosen_run(arguments.run))
    write_reports(run)
    print(run.timeline)
    if arguments.open:
        _open_browser(run.timeline.as_uri())
    return int(Exit.PASS)


def configure_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs="?",
        type=Path,
        default=Path("runs"),
        metavar="RUNS",
        help="a folder of runs (default: runs)",
    )
    parser.add_argument(
        "--port", type=PORT_OR_ANY, default=0, help="listen on this port (default: a free one)"
    )
    parser.add_argument("--open", action="store_true", help="show the page in the browser")


def run_serve(arguments: argparse.Namespace) -> int:
    with _server(arguments.runs, arguments.port) as server, contextlib.suppress(KeyboardInterrupt):
        address = f"http://{HOST}:{server.server_address[1]}/"
        print(f"{address}  (Ctrl-C ends it)", flush=True)
        if arguments.open:
            _open_browser(address)
        server.serve_forever()
    return int(Exit.PASS)


def _server(runs: Path, port: int) -> Server:
    """A server that listens. Raises UsageError where it cannot, or the folder does not exist."""
    if not runs.is_dir():
        raise UsageError(f"{runs}: no such folder; kvsim run makes runs/ in the working directory")
    try:
        return Server((HOST, port), runs.resolve())
    except OSError as error:
        raise UsageError(f"cannot listen on {HOST} port {port}: {error.strerror}") from error


def _open_browser(address: str) -> None:
    import webbrowser

    webbrowser.open(address)


COMMANDS = {
    "verify": Subcommand(VERIFY, configure_verify, run_verify),
    "report": Subcommand(REPORT, configure_report, run_report),
    "serve": Subcommand(SERVE, configure_serve, run_serve),
}
