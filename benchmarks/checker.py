"""How fast consistency is judged: one key with a million operations, growth with length, memory, and the
whole way from a file to a report.

Against what: the seconds that issue and documentation promise; reading the same history as JSON lines (a
floor that every checker with a textual history pays); and the search that other checkers are built on, on
histories it still manages.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from _figures import Report, parser, summary  # noqa: E402

from kvsim.checks.consistency.judge import check  # noqa: E402
from kvsim.checks.consistency.linear.certificate import linearize  # noqa: E402
from kvsim.checks.consistency.linear.key import decide_key  # noqa: E402
from kvsim.checks.consistency.linear.numpy_columns import numpy  # noqa: E402
from kvsim.checks.consistency.linear.register import Register, register_of  # noqa: E402
from kvsim.checks.consistency.linear.search import Budget, search  # noqa: E402
from kvsim.checks.consistency.linearizable import linearizable  # noqa: E402
from kvsim.evidence.verify import write_proof  # noqa: E402
from kvsim.history import history_file  # noqa: E402
from kvsim.history.history import FinalRead, History, RoleSample  # noqa: E402
from kvsim.history.operations import CAS, DELETE, GET, NEVER, PUT, Operations  # noqa: E402
from kvsim.history.outcome import Kind, Outcome  # noqa: E402
from kvsim.rundir import RunDir  # noqa: E402
from tests.checks.consistency.makers import operations_of, true_register  # noqa: E402

PUT_GET = {PUT: 1.0, GET: 1.0}
MIXED = {PUT: 3.0, DELETE: 1.0, CAS: 1.0, GET: 5.0}
COLUMNS_GOAL, NUMPY_GOAL, MIXED_GOAL = "<= 2", "<= 0.2", "<= 6"
CASES = {  # name → clients, mix, share of writes with an unknown outcome, is there a stale read in it
    "put/get, 5 in flight": (5, PUT_GET, 0.0, False),
    "put/get, 50 in flight": (50, PUT_GET, 0.0, False),
    "put/get, 50 in flight, 10 % unknown": (50, PUT_GET, 0.2, False),
    "put/get, 50 in flight, one stale read": (50, PUT_GET, 0.0, True),
    "mixed, 50 in flight, 10 % unknown": (50, MIXED, 0.2, False),
}
PIPELINE_KEYS = 1_000
END_S = 3_600.0  # when the final reads of the made run are: after its load


def one_key(size: int, clients: int, mix: dict[int, float], unknown: float = 0.0) -> Operations:
    return operations_of(true_register(random.Random(1), size, clients, mix, unknown=unknown))


def with_stale_read(operations: Operations) -> Operations:
    """The last read two thirds into the history shows a value that was overwritten long before."""
    size = len(operations)
    reads = [
        row for row in range(size * 2 // 3, size) if operations.kind[row] == GET and operations.value[row]
    ]
    old = [
        row for row in range(size // 3) if operations.kind[row] == PUT and operations.return_ns[row] != NEVER
    ]
    operations.value[reads[0]] = operations.value[old[-1]]
    return operations


def expect(operations: Operations, wanted: bool, *, use_numpy: bool = False) -> Callable[[], None]:
    """A run of the decider that also looks at the answer: a fast wrong answer is no figure."""

    def run() -> None:
        answer = decide_key(operations, use_numpy=use_numpy)
        if answer.ruling.linearizable is not wanted:
            raise SystemExit(f"the decider is wrong: {answer}")

    return run


def seconds(work: Callable[[], object], runs: int) -> list[float]:
    """How long `work` took, each of several times."""
    took = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        took.append(time.perf_counter() - begin)
    return took


def cpu_seconds(work: Callable[[], object]) -> float:
    """How long one processor was busy with `work`: what a machine that does nothing else needs."""
    begin = time.process_time()
    work()
    return time.process_time() - begin


def add(report: Report, name: str, values: list[float], unit: str, goal: str = "") -> None:
    median, spread = summary(values)
    report.add(name, median, unit, goal, spread)


def million(report: Report, size: int, runs: int) -> None:
    """One key: columns, numpy where it is installed, mixed operations, memory, and a stale read hidden
    among the rest.
    """
    name = f"{size:,} operations"
    for case, (clients, mix, unknown, stale) in CASES.items():
        operations = one_key(size, clients, mix, unknown)
        if stale:
            operations = with_stale_read(operations)
        goal = MIXED_GOAL if mix is MIXED else COLUMNS_GOAL
        add(report, f"linearizable, {name}, {case}", seconds(expect(operations, not stale), runs), "s", goal)
        if numpy() is not None and mix is PUT_GET:
            took = seconds(expect(operations, not stale, use_numpy=True), runs)
            add(report, f"linearizable with numpy, {name}, {case}", took, "s", NUMPY_GOAL)
        report.add(f"memory beyond the history, {name}, {case}", extra_megabytes(operations), "MB", "<= 250")
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
    """Peak memory of deciding beyond the history, in a process that did nothing before but read it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "history.bin"
        history_file.save(History(operations), path)
        child = [sys.executable, __file__, "--memory", str(path)]
        return float(subprocess.run(child, check=True, capture_output=True, text=True).stdout)


def tell_memory(path: Path) -> None:
    """The child's part of `extra_megabytes`. Linux: the peak is reset through /proc."""
    operations = history_file.load(path).operations
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
    """The exponent with which time grows with length: log-log slope between the ends."""
    for case, mix in (("put/get", PUT_GET), ("mixed", MIXED)):
        took = [min(seconds(expect(one_key(size, 20, mix), True), runs)) for size in sizes]
        slope = math.log(took[1] / took[0]) / math.log(sizes[1] / sizes[0])
        report.add(f"growth exponent, {sizes[0]:,} to {sizes[1]:,} operations, {case}", slope, "", "<= 1.2")


def against_search(report: Report, size: int) -> None:
    """Times faster than the search with memory, on valid put/get histories."""
    for clients in (5, 10, 20):
        operations = one_key(size, clients, PUT_GET)
        zones = min(seconds(expect(operations, True), 5))
        searched = seconds(partial(searched_order, register_of(operations)), 1)[0]
        report.add(
            f"over the search, {size:,} operations, {clients} in flight", searched / zones, "x", ">= 1"
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
        add(report, f"history written, {name}", seconds(lambda: history_file.save(history, path), 3), "s")
        add(report, f"history read, {name}", seconds(lambda: history_file.load(path), 3), "s")
        lines = tuple(history_file.json_lines(history))
        add(report, f"JSON lines parsed only, {name}", seconds(partial(parse_lines, lines), 1), "s")
        add(
            report,
            f"file to report, linearizable only, {name}",
            seconds(lambda: load_and_decide(path), 1),
            "s",
        )
        add(report, f"file to report, all checks, {name}", seconds(lambda: load_and_check(path), 1), "s")
        whole_pipeline(report, history, Path(folder) / "run", name)


def whole_pipeline(report: Report, history: History, folder: Path, name: str) -> None:
    """From a run directory, as a run leaves it, to its proof: everything that `kvsim run` does once the nodes
    are stopped. Beside reading the same columns and sorting their events, which no judge can do without.
    """
    run = run_directory(history, folder)
    child = [sys.executable, __file__, "--judge", str(folder)]
    told = json.loads(subprocess.run(child, check=True, capture_output=True, text=True).stdout)
    floor = min(cpu_seconds(partial(read_and_sort, run.load("w"))) for _ in range(3))
    add(
        report,
        f"whole pipeline: run directory to verdict, proof written, {name}",
        [told["seconds"]],
        "s of CPU",
        "<= 15",
    )
    report.add("whole pipeline over reading and sorting the same file", told["seconds"] / floor, "x")
    report.add(f"whole pipeline, peak memory of the process, {name}", told["megabytes"], "MB")


def run_directory(history: History, folder: Path) -> RunDir:
    """A run of three nodes and one load, without anything else that a run can have."""
    run = RunDir(folder)
    run.load("w").parent.mkdir(parents=True)
    history_file.save(history, run.load("w"))
    words = {"writes": "durable_at_leader", "leader_reads": "linearizable", "follower_reads": "prefix"}
    plan = {"program": "p", "capabilities": [], "role_log": {}, "clean_exits": [0], "lasting": True}
    nodes = {
        node: {**plan, "id": at, "role": role, "address": f"127.0.0.1:{at}", "ports": [at], "promises": words}
        for at, (node, role) in enumerate((("n1", "leader"), ("n2", "follower")), 1)
    }
    meta = dict.fromkeys(("kvsim", "when", "scenario", "title", "scenario_file", "again"), "")
    run.write_meta({**meta, "seed": 1, "vars": {}, "variables": {}, "attached": False, "nodes": nodes})
    started = {"id": "1.1", "name": "w", "epoch_ns": 0, "minima": {}, "clients": 5, "at": "leader"}
    step = {"id": "1.1", "group": "g", "verb": "load", "line": 1, "text": "load", "targets": []}
    events = [
        {"event": "step", **step},
        {"event": "load_start", **started, "key_count": PIPELINE_KEYS, "mix": {"put": 50, "get": 50}},
        {"event": "step_end", "id": "1.1", "result": "pass", "why": ""},
        {"event": "load_stop", "name": "w", "counts": {"ok": len(history.operations)}},
        *map(final_event, itertools.count(1), history.finals),
        {"event": "end", "how": "finished"},
    ]
    run.journal.write_text("".join(json.dumps({"t": at, **one}) + "\n" for at, one in enumerate(events)))
    for file in (run.scenario, run.cluster):
        file.write_text("")
    return run


def final_event(number: int, final: FinalRead) -> dict[str, object]:
    """A read after the load, as the journal holds it."""
    outcome = Outcome(Kind.OK, value=final.value, found=final.value is not None)
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
    operations = history_file.load(path).operations
    sorted(itertools.chain(operations.call_ns, operations.return_ns))


def tell_judging(folder: Path) -> None:
    """The child's part of `whole_pipeline`."""
    took = cpu_seconds(lambda: judge_run(RunDir(folder)))
    print(json.dumps({"seconds": took, "megabytes": status_kilobytes("VmHWM") / 1024}))


def judge_run(run: RunDir) -> None:
    proof = write_proof(run)
    if proof.load is None or proof.load.named("linearizable").verdict != "pass":
        raise SystemExit(f"the proof is wrong: {proof.verdict}")


def parse_lines(lines: tuple[str, ...]) -> None:
    for line in lines:
        json.loads(line)


def load_and_decide(path: Path) -> None:
    if linearizable(history_file.load(path)).verdict != "pass":
        raise SystemExit("the verdict is wrong")


def load_and_check(path: Path) -> None:
    words = {"writes": "durable_at_leader", "leader_reads": "linearizable", "follower_reads": "prefix"}
    report = check(history_file.load(path), words)
    if report.verdict != "pass":
        raise SystemExit(f"the report is wrong: {report.verdict}")


def cluster_history(size: int) -> History:
    """A leader that is right and a follower that is never behind: many keys, sampled roles, final reads."""
    operations = Operations()
    each = size // PIPELINE_KEYS
    last: dict[int, tuple[int, int]] = {}
    for key in range(PIPELINE_KEYS):
        register = true_register(random.Random(key), each, 5, PUT_GET)
        final = max(register.until) + 1
        busy_until = [-1] * 8
        for at in range(each):
            kind, value = ("put" if register.kind[at] == PUT else "get"), register.value[at]
            text = f"{key}-{value}" if value else None
            times = register.call[at], register.until[at]
            node = "n2" if kind == "get" and at % 9 == 0 else "n1"
            process = next(number for number, busy in enumerate(busy_until) if busy < times[0])
            busy_until[process] = times[1]
            operations.add(*times, 8 * key + process, f"key{key}", kind, text, node=node)
        end = decided_last(register)
        operations.add(
            final, final, 8 * key + 7, f"key{key}", "get", f"{key}-{end}" if end else None, node="n1"
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


def decided_last(register: Register) -> int:
    """The value at the end of one order that explains the register."""
    order = linearize(register)
    puts = [at for at in order if register.kind[at] == PUT] if isinstance(order, list) else []
    return register.value[puts[-1]] if puts else 0


def main() -> int:
    options = parser(__doc__)
    options.add_argument("--quick", action="store_true", help="a tenth of the size, to see that it runs")
    options.add_argument("--judge", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--only-pipeline", action="store_true", help="only the way from a file to a verdict")
    options.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.judge:
        tell_judging(chosen.judge)
        return 0
    if chosen.memory:
        tell_memory(chosen.memory)
        return 0
    size, runs = (100_000, min(chosen.runs, 3)) if chosen.quick else (1_000_000, chosen.runs)
    report = Report(chosen.json)
    if not chosen.only_pipeline:
        million(report, size, runs)
        growth(report, (size // 100, size), runs)
        against_search(report, size // 100)
    pipeline(report, size)
    if numpy() is None and not chosen.json:
        print("# numpy is not installed; its figures were not measured")
    report.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
