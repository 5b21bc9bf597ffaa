"""kvsim's decision of linearizability beside Porcupine's, in one run: verdicts, time and memory.

Porcupine is built with Go from its module, or from a folder with its source (`--porcupine`). Where
it is not installed, a line says so, and kvsim is measured alone. Both read the same lines; only the
decision is measured, in seconds of CPU (Porcupine uses all cores for several keys). A peer that
passes the time or memory limit is a comment line. Knossos and Elle need a JVM and Clojars; this
file does not run them.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from _figures import Report, parser  # noqa: E402
from checker import (  # noqa: E402
    MILLION,
    MIXED,
    PUT_GET,
    one_key,
    status_kilobytes,
    with_stale_read,
)

from kvsim.checks.consistency.case import CheckOptions, HistoryCase  # noqa: E402
from kvsim.checks.consistency.guarantees import complete_guarantees  # noqa: E402
from kvsim.checks.consistency.linearizable import LINEARIZABLE  # noqa: E402
from kvsim.checks.verdict import Verdict  # noqa: E402
from kvsim.history.history import History  # noqa: E402
from kvsim.history.operations import Operations  # noqa: E402
from tests.checks.linearizability.history_builders import (  # noqa: E402
    operations_of,
    true_register,
)

MODULE, VERSION = "github.com/anishathalye/porcupine", "v1.3.0"
RANDOM_HISTORIES = ROOT / "tests" / "data" / "random-3000.jsonl.gz"
# None: nothing was both written and observed, so nothing contradicts anything.
WORDS = {None: "Ok", Verdict.PASS: "Ok", Verdict.FAIL: "Illegal", Verdict.UNKNOWN: "Unknown"}
ONE_STORE = complete_guarantees({"leader_reads": "linearizable"})
KEYS = 1_000
# Shorter checks are measured several times.
SHORT_SECONDS = 0.5
Case = tuple[str, Callable[[], Operations]]


@dataclass(frozen=True)
class Judged:
    """What one checker said of a history: the verdict, or why there is none; time and memory."""

    verdict: str
    cpu_seconds: float = 0.0
    megabytes: float = 0.0


def cases(million: int) -> Iterator[Case]:
    """Name and operations of the histories that are timed; `million` is the largest size."""
    for size in (million // 1000, million // 100, million // 10, million):
        yield f"{size:,} on one key, 5 in flight", lambda size=size: one_key(size, 5, PUT_GET)
    size = million // 1000
    for clients in (10, 20):
        yield (
            f"{size:,} on one key, {clients} in flight, one stale read",
            lambda clients=clients: with_stale_read(one_key(size, clients, PUT_GET)),
        )
    yield f"{size:,} on one key, 20 in flight", lambda: one_key(size, 20, PUT_GET)
    yield (
        f"{size:,} on one key, put, get, delete, cas, 5 in flight, 10 % unknown",
        lambda: one_key(size, 5, MIXED, 0.2),
    )
    yield f"{million:,} on {KEYS:,} keys, 5 in flight", lambda: many_keys(million)


def many_keys(size: int) -> Operations:
    operations = Operations()
    for key in range(KEYS):
        one = operations_of(true_register(random.Random(key), size // KEYS, 5, PUT_GET))
        for row in one:
            operations.add(row.call_ns, row.return_ns, row.process, f"k{key}", row.kind, row.value)
    return operations


def line_of(operations: Operations, initial: str | None = None) -> str:
    """A history as a line that both checkers read."""
    rows = [
        [
            row.call_ns,
            row.return_ns,
            row.process,
            row.key,
            row.kind,
            row.value,
            row.expected,
            row.outcome,
        ]
        for row in operations
    ]
    return json.dumps({"ops": rows, "initial": initial}) + "\n"


def history_of(entry: dict[str, Any]) -> History:
    operations = Operations()
    for call, back, client, key, kind, value, expected, outcome in entry["ops"]:
        operations.add(call, back, client, key, kind, value, expected=expected, outcome=outcome)
    initial = entry["initial"]
    keys = () if initial is None else {row[3] for row in entry["ops"]}
    return History(operations, initial=dict.fromkeys(keys, initial))


def kvsim_argv(*, plain: bool) -> list[str]:
    return [sys.executable, __file__, "--judge", *(["--plain"] if plain else [])]


def print_judged(*, plain: bool) -> None:
    """The child process that measures kvsim: as Porcupine's program does it."""
    if plain:
        sys.modules["numpy"] = None  # type: ignore[assignment]
    for line in sys.stdin:
        history = history_of(json.loads(line))
        began, cpu = time.perf_counter(), time.process_time()
        options = CheckOptions(certify=False, use_numpy=False if plain else None)
        verdict = LINEARIZABLE.judge(HistoryCase(history, ONE_STORE, options)).verdict
        took, cpu = time.perf_counter() - began, time.process_time() - cpu
        print(WORDS[verdict], took, cpu, status_kilobytes("VmHWM") // 1024)


def build_porcupine(folder: Path, source: Path | None) -> str | None:
    """Build Porcupine's program in a folder. Why it cannot be, or None."""
    if shutil.which("go") is None:
        return "there is no Go"
    shutil.copy(ROOT / "benchmarks" / "porcupine" / "main.go", folder)
    get = ["get", f"{MODULE}@{VERSION}"]
    if source is not None:
        get = ["mod", "edit", f"-require={MODULE}@{VERSION}", f"-replace={MODULE}={source}"]
    for argv in (["mod", "init", "judge"], get, ["build", "-o", "judge", "."]):
        done = subprocess.run(["go", *argv], cwd=folder, capture_output=True, text=True)
        if done.returncode:
            return done.stderr.strip().splitlines()[-1]
    return None


def judge(argv: list[str], lines: str, gigabytes: float, limit_s: float) -> list[Judged]:
    """What a checker's process says of each line; fewer, where it was stopped."""

    def bound() -> None:
        size = int(gigabytes * 1e9)
        resource.setrlimit(resource.RLIMIT_AS, (size, size))

    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=bound,
    ) as child:
        try:
            out, _ = child.communicate(lines, timeout=limit_s)
        except subprocess.TimeoutExpired:
            child.kill()
            return []
    found = []
    for line in out.splitlines():
        verdict, _, cpu, megabytes = line.split()
        found.append(Judged(verdict, float(cpu), float(megabytes)))
    return found


def verdicts(report: Report, checkers: dict[str, list[str]], options: argparse.Namespace) -> None:
    """The random histories: how many verdicts differ from the recorded ones, and the time."""
    with gzip.open(options.histories, "rt") as packed:
        lines = packed.readlines()
    truth = [json.loads(line)["porcupine"] for line in lines]
    shown = f"{len(lines):,} random histories"
    for name, argv in checkers.items():
        found = judge(argv, "".join(lines), options.gigabytes, 20 * options.limit)
        if len(found) != len(lines):
            print(f"# {name} stopped after {len(found):,} of {shown}")
            continue
        wrong = sum(one.verdict != right for one, right in zip(found, truth, strict=True))
        report.add(f"{shown}, verdicts that differ, {name}", wrong, "", "<= 0")
        report.add(f"{shown}, {name}", sum(one.cpu_seconds for one in found), "s of CPU")


def times(report: Report, checkers: dict[str, list[str]], options: argparse.Namespace) -> None:
    """Each case by each checker: the median where it is short, and the peak of the process."""
    for case, make in cases(MILLION // 10 if options.quick else MILLION):
        line = line_of(make())
        for name, argv in checkers.items():
            found = judge(argv, line, options.gigabytes, 4 * options.limit)
            if found and found[0].cpu_seconds < SHORT_SECONDS:
                found = judge(argv, line * options.runs, options.gigabytes, 4 * options.limit)
            if not found:
                print(f"# {case}, {name}: stopped at {options.gigabytes:g} GB of memory")
            elif found[0].verdict == "Unknown":
                print(f"# {case}, {name}: not decided in {options.limit:g} s")
            else:
                took = statistics.median(one.cpu_seconds for one in found)
                peak = f"{found[-1].megabytes:.0f} MB"
                report.add(f"{case}, {name}", took, "s of CPU", spread=peak)


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--quick", action="store_true", help="a tenth of the largest size")
    options.add_argument("--porcupine", type=Path, help="a folder with Porcupine's source")
    options.add_argument("--limit", type=float, default=60.0, help="seconds for one history")
    options.add_argument("--gigabytes", type=float, default=6.0, help="memory for one history")
    options.add_argument("--histories", type=Path, default=RANDOM_HISTORIES)
    options.add_argument("--judge", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.judge:
        print_judged(plain=chosen.plain)
        return 0
    report = Report(chosen.json)
    with tempfile.TemporaryDirectory() as folder:
        source = chosen.porcupine and chosen.porcupine.resolve()
        missing = build_porcupine(Path(folder), source)
        checkers = {
            "kvsim with numpy": kvsim_argv(plain=False),
            "kvsim without numpy": kvsim_argv(plain=True),
        }
        if missing is None:
            checkers["Porcupine"] = [str(Path(folder, "judge")), str(chosen.limit)]
        else:
            print(f"# Porcupine {VERSION} is not installed: {missing}")
        verdicts(report, checkers, chosen)
        times(report, checkers, chosen)
    report.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
