"""The speed of the consistency checks: a key with a million operations, growth with length, memory,
and the whole way from a file to a report.

Compared with the seconds that the documentation states; with reading the same history as JSON
lines, which every checker of textual histories must do; and with the search that other checkers are
built on, on histories of a size it can decide.
"""

from __future__ import annotations

import argparse
import gc
import gzip
import itertools
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from _figures import Report, parser, summary  # noqa: E402

from kvsim.checks.consistency.case import CheckOptions  # noqa: E402
from kvsim.checks.consistency.check import check  # noqa: E402
from kvsim.checks.consistency.linearizable import linearizable  # noqa: E402
from kvsim.checks.consistency.result import ConsistencyResult  # noqa: E402
from kvsim.checks.linearizability.certificate import linearize  # noqa: E402
from kvsim.checks.linearizability.decide import decide_key  # noqa: E402
from kvsim.checks.linearizability.register import Register, register_of  # noqa: E402
from kvsim.history import binary_file, edn, formats  # noqa: E402
from kvsim.history.formats import kvsim_jsonl  # noqa: E402
from kvsim.history.history import FinalRead, History, RoleSample  # noqa: E402
from kvsim.history.numpy_module import numpy  # noqa: E402
from kvsim.history.operations import (  # noqa: E402
    CAS,
    DELETE,
    GET,
    NEVER,
    PUT,
    Operation,
    Operations,
)
from kvsim.history.outcome import Outcome, OutcomeKind  # noqa: E402
from kvsim.history.run_record import RunRecord  # noqa: E402
from kvsim.proof.verify import write_proof  # noqa: E402
from kvsim.run_directory import RunDirectory  # noqa: E402
from tests.checks.linearizability.history_builders import operations_of, true_register  # noqa: E402
from tests.checks.linearizability.wing_gong import Budget, search  # noqa: E402

PUT_GET = {PUT: 1.0, GET: 1.0}
MIXED = {PUT: 3.0, DELETE: 1.0, CAS: 1.0, GET: 5.0}
COLUMNS_GOAL, NUMPY_GOAL, MIXED_GOAL = "<= 2", "<= 0.2", "<= 6"
REPORT_GOAL, MIXED_REPORT_GOAL, PLAIN_REPORT_GOAL = "<= 2", "<= 3", "<= 6"
# Operations of an explanation that is read in one look.
READABLE = 8
MILLION, TEN_MILLION = 1_000_000, 10_000_000
# Name → clients, mix, share of writes with an unknown outcome, whether there is a stale read.
CASES = {
    "put/get, 5 in flight": (5, PUT_GET, 0.0, False),
    "put/get, 50 in flight": (50, PUT_GET, 0.0, False),
    "put/get, 50 in flight, 10 % unknown": (50, PUT_GET, 0.2, False),
    "put/get, 50 in flight, one stale read": (50, PUT_GET, 0.0, True),
    "mixed, 50 in flight, 10 % unknown": (50, MIXED, 0.2, False),
}
PIPELINE_KEYS = 1_000
# The time of the final reads of the generated run: after its load.
END_S = 3_600.0


def one_key(size: int, clients: int, mix: dict[int, float], unknown: float = 0.0) -> Operations:
    return operations_of(true_register(random.Random(1), size, clients, mix, unknown=unknown))


def with_stale_read(operations: Operations) -> Operations:
    """Let a read after two thirds of the history return a value overwritten long before."""
    size = len(operations)
    reads = [
        row
        for row in range(size * 2 // 3, size)
        if operations.kind[row] == GET and operations.value[row]
    ]
    old = [
        row
        for row in range(size // 3)
        if operations.kind[row] == PUT and operations.return_ns[row] != NEVER
    ]
    operations.value[reads[0]] = operations.value[old[-1]]
    return operations


def expect(operations: Operations, wanted: bool, *, use_numpy: bool = False) -> Callable[[], None]:
    """A call of the decider that also checks its result."""

    def run() -> None:
        answer = decide_key(operations, use_numpy=use_numpy)
        if answer.decision.linearizable is not wanted:
            raise SystemExit(f"the decider is wrong: {answer}")

    return run


def seconds(work: Callable[[], object], runs: int) -> list[float]:
    """The seconds of each of `runs` calls of `work`."""
    took = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        took.append(time.perf_counter() - begin)
    return took


def cpu_seconds(work: Callable[[], object]) -> float:
    """The processor seconds of one call of `work`."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def add(report: Report, name: str, values: list[float], unit: str, goal: str = "") -> None:
    median, spread = summary(values)
    report.add(name, median, unit, goal, spread)


def million(report: Report, size: int, runs: int) -> None:
    """One key: columns, numpy if installed, mixed operations, memory, and a single stale read."""
    name = f"{size:,} operations"
    for case, (clients, mix, unknown, stale) in CASES.items():
        operations = one_key(size, clients, mix, unknown)
        if stale:
            operations = with_stale_read(operations)
        goal = MIXED_GOAL if mix is MIXED else COLUMNS_GOAL
        add(
            report,
            f"linearizable, {name}, {case}",
            seconds(expect(operations, not stale), runs),
            "s",
            goal,
        )
        if numpy() is not None and mix is PUT_GET:
            took = seconds(expect(operations, not stale, use_numpy=True), runs)
            add(report, f"linearizable with numpy, {name}, {case}", took, "s", NUMPY_GOAL)
        report.add(
            f"memory beyond the history, {name}, {case}",
            extra_megabytes(operations),
            "MB",
            "<= 250",
        )
        if stale:
            history = History(operations)
            took = seconds(partial(linearizable, history, use_numpy=False), runs)
            add(report, f"verdict, minimal set and picture, {name}, {case}", took, "s")
        if mix is MIXED:
            plain = min(seconds(partial(decide_key, operations, use_numpy=False), runs))
            proved = seconds(partial(decide_key, operations, certify=True, use_numpy=False), runs)
            add(
                report,
                f"with a replayed order over without, {name}, {case}",
                [p / plain for p in proved],
                "x",
                "<= 3.5",
            )


def extra_megabytes(operations: Operations) -> float:
    """Peak memory of deciding, without the history, in a process that only read the history."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.bin"
        binary_file.save(History(operations), path)
        child = [sys.executable, __file__, "--memory", str(path)]
        return float(subprocess.run(child, check=True, capture_output=True, text=True).stdout)


def print_memory(path: Path) -> None:
    """The child process of `extra_megabytes`. Linux: the peak is reset through /proc."""
    operations = binary_file.load(path).operations
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    before = status_kilobytes("VmRSS")
    decide_key(operations, use_numpy=False)
    print((status_kilobytes("VmHWM") - before) / 1024)


def status_kilobytes(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise SystemExit(f"/proc/self/status has no {field}")


def growth(report: Report, sizes: tuple[int, int], runs: int) -> None:
    """The exponent with which time grows with length: the log-log slope between two sizes."""
    for case, mix in (("put/get", PUT_GET), ("mixed", MIXED)):
        took = [min(seconds(expect(one_key(size, 20, mix), True), runs)) for size in sizes]
        slope = math.log(took[1] / took[0]) / math.log(sizes[1] / sizes[0])
        report.add(
            f"growth exponent, {sizes[0]:,} to {sizes[1]:,} operations, {case}", slope, "", "<= 1.2"
        )


def against_search(report: Report, size: int) -> None:
    """Times faster than the search with memory, on valid put/get histories."""
    for clients in (5, 10, 20):
        operations = one_key(size, clients, PUT_GET)
        zones = min(seconds(expect(operations, True), 5))
        searched = seconds(partial(searched_order, register_of(operations)), 1)[0]
        report.add(
            f"over the search, {size:,} operations, {clients} in flight",
            searched / zones,
            "x",
            ">= 1",
        )


def searched_order(register: Register) -> None:
    if not search(register, Budget(seconds=60.0)).linearizable:
        raise SystemExit("the search is wrong or ran out of its budget")


def pipeline(report: Report, size: int) -> None:
    """From a file to a report of all checks, beside parsing the same operations as JSON lines."""
    history = cluster_history(size)
    name = f"{size:,} operations on {PIPELINE_KEYS:,} keys"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.bin"
        add(
            report,
            f"history written, {name}",
            seconds(lambda: binary_file.save(history, path), 3),
            "s",
        )
        add(report, f"history read, {name}", seconds(lambda: binary_file.load(path), 3), "s")
        lines = tuple(kvsim_jsonl.write(history))
        add(report, f"JSON lines parsed only, {name}", seconds(partial(parse_lines, lines), 1), "s")
        whole_pipeline(report, history, Path(folder) / "run", name)


def text_formats(report: Report, size: int) -> None:
    """Reading each text format, beside parsing the same text without making a history of it."""
    operations = list(cluster_history(size).operations)
    texts = {
        "kvsim-jsonl": (kvsim_jsonl.write(cluster_history(size)), parse_json),
        "porcupine-jsonl": (map(porcupine_line, operations), parse_json),
        "jepsen-edn": (jepsen_lines(operations, edn_line), parse_edn),
        "jepsen-log": (jepsen_lines(operations, log_line), parse_log),
    }
    for name, (lines, parse) in texts.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "history"
            path.write_text("".join(line + "\n" for line in lines))
            parsed = min(cpu_seconds(partial(parse, path)) for _ in range(3))
            read = min(cpu_seconds(partial(formats.read, name, path)) for _ in range(3))
        shown = f"{name}, {size:,} operations"
        report.add(f"read, {shown}", read, "s of CPU")
        report.add(f"read over parsing it only, {shown}", read / parsed, "x", "<= 2")


def porcupine_line(operation: Operation) -> str:
    is_put = operation.kind == "put"
    fields = {
        "ClientId": operation.process,
        "Input": {
            "op": int(is_put),
            "key": operation.key,
            "value": operation.value if is_put else "",
        },
        "Call": operation.call_ns,
        "Output": {"value": "" if is_put else operation.value or ""},
        "Return": operation.return_ns,
    }
    return json.dumps(fields)


def jepsen_lines(
    operations: list[Operation], line: Callable[[Operation, bool, int], str]
) -> Iterator[str]:
    """The invocations and completions in order of time."""
    ends = [(operation, operation.call_ns, False) for operation in operations]
    ends += [(operation, operation.return_ns or 0, True) for operation in operations]
    for operation, time_ns, done in sorted(ends, key=lambda end: (end[1], end[2])):
        yield line(operation, done, time_ns)


def edn_line(operation: Operation, done: bool, time_ns: int) -> str:
    process, type_, f, value = jepsen_parts(operation, done)
    return f"{{:process {process}, :type {type_}, :f {f}, :value {value}, :time {time_ns}}}"


def log_line(operation: Operation, done: bool, time_ns: int) -> str:
    return "INFO  jepsen.util - " + "\t".join(jepsen_parts(operation, done))


def jepsen_parts(operation: Operation, done: bool) -> tuple[str, str, str, str]:
    """Process, type, function and value of an event."""
    f = ":read" if operation.kind == "get" else ":write"
    has_value = operation.value is not None and (done or f == ":write")
    value = json.dumps(operation.value) if has_value else "nil"
    pair = f"[{json.dumps(operation.key)} {value}]"
    return str(operation.process), ":ok" if done else ":invoke", f, pair


def parse_json(path: Path) -> None:
    with path.open() as lines:
        for line in lines:
            json.loads(line)


def parse_edn(path: Path) -> None:
    with path.open() as lines:
        for _ in edn.values(lines):
            pass


def parse_log(path: Path) -> None:
    """The parts of each line, and its value as EDN."""
    with path.open() as lines:
        for line in lines:
            edn.parse(line.rsplit("\t", 1)[1])


def whole_pipeline(report: Report, history: History, folder: Path, name: str) -> None:
    """From a run directory to its proof: all that `kvsim run` does after it stopped the nodes.

    Compared with reading the same columns and sorting their events, which every checker must do.
    """
    run = run_directory(history, folder)
    child = [sys.executable, __file__, "--judge", str(folder)]
    measured = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
    floor = min(cpu_seconds(partial(read_and_sort, run.load("w"))) for _ in range(3))
    add(
        report,
        f"whole pipeline: run directory to verdict, proof written, {name}",
        [measured["seconds"]],
        "s of CPU",
        "<= 15",
    )
    report.add(
        "whole pipeline over reading and sorting the same file", measured["seconds"] / floor, "x"
    )
    report.add(f"whole pipeline, peak memory of the process, {name}", measured["megabytes"], "MB")


def run_directory(history: History, folder: Path) -> RunDirectory:
    """A run of two nodes and one load, with nothing else."""
    run = RunDirectory(folder)
    run.load("w").parent.mkdir(parents=True)
    binary_file.save(history, run.load("w"))
    guarantees = {
        "writes": "durable_at_leader",
        "leader_reads": "linearizable",
        "follower_reads": "prefix",
    }
    plan = {
        "program": "p",
        "capabilities": [],
        "role_log": {},
        "clean_exits": [0],
        "connections": "promised",
    }
    nodes = {
        node: {
            **plan,
            "id": number,
            "role": role,
            "address": f"127.0.0.1:{number}",
            "ports": [number],
            "guarantees": guarantees,
        }
        for number, (node, role) in enumerate((("n1", "leader"), ("n2", "follower")), 1)
    }
    meta = dict.fromkeys(
        ("kvsim", "when", "scenario", "title", "scenario_file", "repeat_command"), ""
    )
    run.write_meta(
        {**meta, "seed": 1, "vars": {}, "variables": {}, "attached": False, "nodes": nodes}
    )
    started = {"id": "1.1", "name": "w", "epoch_ns": 0, "minima": {}, "clients": 5, "at": "leader"}
    step = {"id": "1.1", "group": "g", "verb": "load", "line": 1, "text": "load", "targets": []}
    events = [
        {"event": "step", **step},
        {
            "event": "load_start",
            **started,
            "key_count": PIPELINE_KEYS,
            "mix": {"put": 50, "get": 50},
        },
        {"event": "step_end", "id": "1.1", "result": "pass", "why": ""},
        {"event": "load_stop", "name": "w", "counts": {"ok": len(history.operations)}},
        *map(final_event, itertools.count(1), history.finals),
        {"event": "end", "how": "finished"},
    ]
    run.journal.write_text(
        "".join(json.dumps({"t": at_s, **event}) + "\n" for at_s, event in enumerate(events))
    )
    for file in (run.scenario, run.cluster):
        file.write_text("")
    return run


def final_event(number: int, final: FinalRead) -> dict[str, object]:
    """A read after the load, as the journal holds it."""
    outcome = Outcome(OutcomeKind.OK, value=final.value, found=final.value is not None)
    at_s = END_S + number / 1e6
    return {
        "event": "operation",
        "id": number,
        "step": "",
        "purpose": "final",
        "node": final.node,
        "incarnation": 1,
        "verb": "get",
        "key": final.key,
        "sent": "",
        "received": "",
        "invoked_s": at_s,
        "completed_s": at_s,
        "connection": "",
        "outcome": outcome.to_json(),
    }


def read_and_sort(path: Path) -> None:
    """The columns of times, and the order of all calls and returns."""
    operations = binary_file.load(path).operations
    sorted(itertools.chain(operations.call_ns, operations.return_ns))


def print_judging(folder: Path) -> None:
    """The child process of `whole_pipeline`."""
    took = cpu_seconds(lambda: judge_run(RunDirectory(folder)))
    print(json.dumps({"seconds": took, "megabytes": status_kilobytes("VmHWM") / 1024}))


def judge_run(run: RunDirectory) -> None:
    proof = write_proof(run, RunRecord.load(run))
    if proof.load is None or proof.load.result_of("linearizable").verdict != "pass":
        raise SystemExit(f"the proof is wrong: {proof.verdict}")


def parse_lines(lines: tuple[str, ...]) -> None:
    for line in lines:
        json.loads(line)


def file_to_report(report: Report, size: int) -> None:
    """From kvsim's binary file to the report of all checks, each in a process of its own."""
    for case, make in REPORT_CASES.items():
        mixed = "mixed" in case
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "history.bin"
            binary_file.save(make(size), path)
            for fast in REPORT_WAYS:
                took, megabytes = measured_report(path, fast=fast)
                name = f"file to report {how_fast(fast)}, {size:,} operations, {case}"
                goal = (MIXED_REPORT_GOAL if mixed else REPORT_GOAL) if fast else PLAIN_REPORT_GOAL
                scaled = goal if size == MILLION else ""
                if size == TEN_MILLION:
                    scaled = "<= 25"
                report.add(name, took, "s of CPU", scaled)
                memory_goal = {MILLION: "<= 300", TEN_MILLION: "<= 2000"}.get(size, "")
                # None is set for mixed operations.
                memory_goal = "" if mixed else memory_goal
                report.add(f"peak memory, {name}", megabytes, "MB", memory_goal)


def report_growth(report: Report, sizes: tuple[int, ...]) -> None:
    """The exponents with which the time from a file to its report grows: over all sizes, and
    between neighbours; without numpy up to a million operations.

    Of the same work at every size: no order is replayed (as it is of short histories), and numpy is
    used at every size or at none. What a report of 10 operations takes is subtracted: else it would
    hide the growth of short histories.
    """
    for case, make in REPORT_CASES.items():
        took: dict[bool, list[float]] = {fast: [] for fast in REPORT_WAYS}
        for size in (10, *sizes):
            for fast, seconds_of in report_seconds(make(size), plain=size <= MILLION).items():
                took[fast].append(seconds_of)
        for fast, (begun, *measured) in took.items():
            name = f"growth exponent, file to report {how_fast(fast)}, {case}"
            grown = [(size, all_s - begun) for size, all_s in zip(sizes, measured, strict=False)]
            for fewer, more in itertools.pairwise(grown):
                report.add(f"{name}, {fewer[0]:,} to {more[0]:,}", exponent(fewer, more), "")
            first, last = grown[0], grown[-1]
            spread = ", ".join(f"{one_s:.3g}" for _, one_s in grown) + " s of CPU"
            shown = f"{name}, {first[0]:,} to {last[0]:,} operations"
            report.add(shown, exponent(first, last), "", "<= 1.15", spread)


def exponent(first: tuple[int, float], last: tuple[int, float]) -> float:
    """The log-log slope between two sizes and their seconds."""
    return math.log(last[1] / first[1]) / math.log(last[0] / first[0])


def report_seconds(history: History, *, plain: bool) -> dict[bool, float]:
    """Processor seconds from a file with a history to its report, the least of some runs: with
    numpy (True), and without it if asked for (False)."""
    size = len(history.operations)
    runs = 7 if size < MILLION else 3 if size < TEN_MILLION else 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.bin"
        binary_file.save(history, path)
        del history
        return {
            fast: min(measured_report(path, fast=fast, growth=True)[0] for _ in range(runs))
            for fast in REPORT_WAYS
            if plain or fast
        }


def how_fast(fast: bool) -> str:
    return "with numpy" if fast else "without numpy"


# Whether a report is made with numpy.
REPORT_WAYS = (False,) if numpy() is None else (True, False)


def explanations(report: Report) -> None:
    """How many operations explain each violation of the random histories of the tests, and how
    long that takes, the decision included."""
    sizes, took = [], []
    with gzip.open(ROOT / "tests/data/random-3000.jsonl.gz", "rt") as lines:
        violations = [entry for entry in map(json.loads, lines) if entry["porcupine"] != "Ok"]
    for entry in violations:
        operations = Operations()
        for call, back, client, key, kind, value, expected, outcome in entry["ops"]:
            operations.add(call, back, client, key, kind, value, expected=expected, outcome=outcome)
        initial = {} if entry["initial"] is None else {"k": entry["initial"]}
        history = History(operations, initial=initial)
        found: list[ConsistencyResult] = []
        took.append(cpu_seconds(lambda h=history, f=found: f.append(linearizable(h))))
        sizes += [len(getattr(one, "rows", ())) for one in found[0].findings]
    readable = sum(0 < size <= READABLE for size in sizes) / len(violations)
    name = f"{len(violations)} violations"
    report.add(f"explained by at most {READABLE} operations, of {name}", readable, "", ">= 0.95")
    report.add(f"slowest explanation, of {name}", max(took), "s of CPU", "<= 10")


def measured_report(path: Path, *, fast: bool, growth: bool = False) -> tuple[float, float]:
    """Processor seconds of reading and judging a file, and the peak memory of the process in MB.

    With `growth` in the same way at every size.
    """
    child = [sys.executable, __file__, "--report", str(path)]
    child += [] if fast else ["--plain"]
    child += ["--growth"] if growth else []
    found = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
    return found["seconds"], found["megabytes"]


def print_report(path: Path, *, plain: bool, growth: bool) -> None:
    """The child process of `measured_report`. Without numpy: as if it were not installed."""
    if plain:
        sys.modules["numpy"] = None  # type: ignore[assignment]
    options = CheckOptions()
    if growth:
        # Imported before the time begins.
        numpy()
        options = CheckOptions(certify=False, use_numpy=not plain)
    took = cpu_seconds(lambda: load_and_check(path, options))
    print(json.dumps({"seconds": took, "megabytes": status_kilobytes("VmHWM") / 1024}))


def load_and_check(path: Path, options: CheckOptions) -> None:
    """Judge as the run it is: by what two nodes guarantee, or as one store."""
    history = binary_file.load(path)
    guarantees = {"leader_reads": "linearizable"}
    if history.samples:
        guarantees |= {"writes": "durable_at_leader", "follower_reads": "prefix"}
    report = check(history, guarantees, options)
    if report.verdict != "pass":
        raise SystemExit(f"the report is wrong: {report.verdict}")


def cluster_history(size: int) -> History:
    """A correct leader and a follower without lag: many keys, sampled roles, final reads."""
    operations = Operations()
    each = max(1, size // PIPELINE_KEYS)
    last: dict[int, tuple[int, int]] = {}
    for key in range(min(PIPELINE_KEYS, size)):
        register = true_register(random.Random(key), each, 5, PUT_GET)
        final = max(register.until) + 1
        busy_until = [-1] * 8
        for index in range(each):
            kind, value = ("put" if register.kind[index] == PUT else "get"), register.value[index]
            text = f"{key}-{value}" if value else None
            times = register.call[index], register.until[index]
            node = "n2" if kind == "get" and index % 9 == 0 else "n1"
            process = next(number for number, busy in enumerate(busy_until) if busy < times[0])
            busy_until[process] = times[1]
            operations.add(*times, 8 * key + process, f"key{key}", kind, text, node=node)
        end = decided_last(register)
        operations.add(
            final,
            final,
            8 * key + 7,
            f"key{key}",
            "get",
            f"{key}-{end}" if end else None,
            node="n1",
        )
        last[key] = final, end
    end_ns = max(operations.return_ns) + 1
    roles = (("n1", "leader"), ("n2", "follower"))
    samples = tuple(RoleSample(at, node, role) for at in (-1, end_ns) for node, role in roles)
    finals = tuple(
        FinalRead(node, f"key{key}", f"{key}-{value}" if value else None)
        for key, (_, value) in last.items()
        for node, _ in roles
    )
    return History(operations, samples=samples, finals=finals)


# What is judged from a file: name → a history of that many operations.
REPORT_CASES: dict[str, Callable[[int], History]] = {
    f"{PIPELINE_KEYS:,} keys on two nodes": cluster_history,
    "one key": lambda size: History(one_key(size, 50, PUT_GET)),
    "one key, mixed, 10 % unknown": lambda size: History(one_key(size, 50, MIXED, 0.2)),
}


def decided_last(register: Register) -> int:
    """The value at the end of one order that explains the register."""
    order = linearize(register)
    puts = [at for at in order if register.kind[at] == PUT] if isinstance(order, list) else []
    return register.value[puts[-1]] if puts else 0


def main() -> int:
    options = parser(__doc__)
    options.add_argument(
        "--quick", action="store_true", help="a tenth of the size, to see that it runs"
    )
    options.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    options.add_argument(
        "--only-pipeline", action="store_true", help="only the way from a file to a verdict"
    )
    options.add_argument(
        "--ten-million", action="store_true", help="only the reports of ten million operations"
    )
    options.add_argument(
        "--only-text", action="store_true", help="only the time to read the text formats"
    )
    options.add_argument(
        "--only-explanations", action="store_true", help="only how violations are explained"
    )
    options.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--report", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    options.add_argument("--growth", action="store_true", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.judge:
        print_judging(chosen.judge)
        return 0
    if chosen.memory:
        print_memory(chosen.memory)
        return 0
    if chosen.report:
        print_report(chosen.report, plain=chosen.plain, growth=chosen.growth)
        return 0
    size, runs = (100_000, min(chosen.runs, 3)) if chosen.quick else (MILLION, chosen.runs)
    report = Report(chosen.json)
    if chosen.only_text:
        text_formats(report, size // 10)
        report.close()
        return 0
    if chosen.only_explanations:
        explanations(report)
        report.close()
        return 0
    if chosen.ten_million:
        file_to_report(report, TEN_MILLION)
        report_growth(report, (10_000, 100_000, MILLION, TEN_MILLION))
        report.close()
        return 0
    if not chosen.only_pipeline:
        million(report, size, runs)
        growth(report, (size // 100, size), runs)
        against_search(report, size // 100)
        explanations(report)
    file_to_report(report, size)
    report_growth(report, (10_000, 100_000, size) if size > 100_000 else (10_000, size))
    pipeline(report, size)
    text_formats(report, size // 10)
    if numpy() is None and not chosen.json:
        print("# numpy is not installed; its figures were not measured")
    report.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
