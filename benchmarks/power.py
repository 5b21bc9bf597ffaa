"""Power cuts in figures. One command for all, or one of them:

    python benchmarks/power.py [cost | states | cuts | bugs] [--json] [--runs 5] [--operations 4000]

- `cost`: what the record of writes costs a store, with a sync on every write and with one each
  second: writes per second with and without it, and the store's own processor time for a write,
  which depends less on what else the machine does. Each figure is the median of pairs that are
  measured one after the other, because the machine's speed changes.
- `states`: on how many states of the reference store `kvsim sweep --power` starts it in a minute.
- `cuts`: power cuts of the reference store with `fsync=always`, and the runs that lost a write.
- `bugs`: of 20 seeds, how many show each planted bug of power cuts by the check that is there for
  it.

`cost` takes two minutes, `states` one, `cuts` ten, `bugs` fifteen, on two cores.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _figures import Report, parser, summary
from _load import drive, program_of

from kvsim.faults.preload.control import prepare_preload

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ROOT / "nodes" / "kvstore" / "__main__.py"
READY_WITHIN_S = 20.0
CLIENTS = 4
# --fsync of the store → the least share of its throughput that is left.
GOALS = {"always": 0.90, "interval": 0.70}
STATES, STATES_A_MINUTE = 1500, 1000
WRITES = """\
scenario: writes
title: Writes of several clients
cluster: {cluster}
vars: {{a: random_key, v: random_value}}
steps:
  - put:  {{at: leader, key: "{{a}}", value: "{{v}}"}}
  - load: {{start: writers, clients: 2, mix: {{put: 80, delete: 20}}, keys: 20, rate: 200}}
  - sleep: {{for: 2500ms, why: so much is recorded}}
  - load: {{stop: writers}}
"""
# Scenario → the power cuts in one run of it.
CUTS = {"power": 3, "power_torn": 12}
CUTS_RUNS = 34
SEEDS = 20
BUGS = (
    "acknowledges_before_sync",
    "renames_without_folder_sync",
    "syncs_wrong_file",
    "truncates_without_sync",
    "snapshot_not_synced",
    "overwrites_in_place",
    "trusts_torn_tail",
    "follower_acknowledges_before_sync",
)


# --- what the record costs ------------------------------------------------------------------------


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running_store(fsync: str, folder: Path, env: dict[str, str]) -> Iterator[tuple[int, int]]:
    """A store that runs: its port and its process id."""
    port = free_port()
    words = [sys.executable, "-I", "-S", str(PROGRAM), f"--port={port}", "--role=leader"]
    words += [f"--data-dir={folder}", f"--fsync={fsync}"]
    process = subprocess.Popen(words, env={**os.environ, **env}, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.01)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(READY_WITHIN_S)


def processor_s(pid: int) -> float:
    """The processor time of a process, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(fsync: str, operations: int, *, record: bool) -> tuple[float, float]:
    """Writes per second, and microseconds of processor time for a write."""
    folder = Path(tempfile.mkdtemp(prefix="kvsim-power-"))
    try:
        data = folder / "data"
        data.mkdir()
        with prepare_preload(folder / "control", {"n1": data}, record=record) as control:
            env = {"LD_PRELOAD": str(control.library), **control.variables("n1")}
            with running_store(fsync, data, env if record else {}) as (port, pid):
                before_s = processor_s(pid)
                rate = drive(program_of("kvstore"), port, CLIENTS, operations)
                return rate, (processor_s(pid) - before_s) / operations * 1e6
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cost(report: Report, runs: int, operations: int) -> None:
    for fsync, goal in GOALS.items():
        plain, recorded = [], []
        for _ in range(runs):
            plain.append(measure(fsync, operations, record=False))
            recorded.append(measure(fsync, operations, record=True))
        for name, measured in (("plain", plain), ("recorded", recorded)):
            value, spread = summary([rate for rate, _ in measured])
            report.add(f"fsync={fsync}, {name}", value, "writes/s", spread=spread)
            value, spread = summary([time_us for _, time_us in measured])
            report.add(f"fsync={fsync}, {name}, processor", value, "us/write", spread=spread)
        pairs = list(zip(plain, recorded, strict=True))
        share, spread = summary([second[0] / first[0] for first, second in pairs])
        report.add(f"fsync={fsync}, recorded", share, "of plain", f">= {goal}", spread)


# --- what kvsim finds -----------------------------------------------------------------------------


def kvsim(*words: str) -> Any:
    """What a command of kvsim prints with `--json`."""
    with tempfile.TemporaryDirectory(prefix="kvsim-power-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "kvsim", *words, "--seed", "1", "--json", "--out", folder],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    if not done.stdout:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


def states(report: Report) -> None:
    with tempfile.TemporaryDirectory(prefix="kvsim-power-") as folder:
        scenario = Path(folder) / "writes.yaml"
        scenario.write_text(WRITES.format(cluster=ROOT / "clusters/power.yaml"), encoding="utf-8")
        found = kvsim("sweep", str(scenario), "--power", str(STATES))
    (node,) = found["nodes"]
    report.add("states tried", node["tried"], "states", spread=f"in {node['took_s']:.1f} s")
    rate = node["tried"] / node["took_s"] * 60
    report.add("states a minute", rate, "states/min", f">= {STATES_A_MINUTE}")
    report.add("states that lost a write", len(node["findings"]), "states", "<= 0")


def cuts(report: Report) -> None:
    made = 0
    for scenario, count in CUTS.items():
        found = kvsim("repeat", f"scenarios/{scenario}.yaml", "-n", str(CUTS_RUNS))
        passed = found["endings"].get("pass", {"count": 0})["count"]
        made += passed * count
        report.add(f"{scenario}, runs that did not pass", CUTS_RUNS - passed, "runs", "<= 0")
    report.add("power cuts without a loss", made, "cuts", ">= 500")


def bugs(report: Report) -> None:
    for bug in kvsim("selftest", *BUGS, "--seeds", str(SEEDS))["bugs"]:
        report.add(bug["name"], bug["good"], f"of {bug['runs']} seeds", f">= {SEEDS}")


def main() -> None:
    parts: dict[str, Callable[[Report], None]] = {"states": states, "cuts": cuts, "bugs": bugs}
    options = parser(__doc__)
    options.add_argument("what", nargs="*", help="cost, states, cuts, bugs (default: all)")
    options.add_argument("--operations", type=int, default=4000)
    arguments = options.parse_args()
    wanted = arguments.what or ["cost", *parts]
    unknown = set(wanted) - {"cost", *parts}
    if unknown:
        options.error(f"there is no {', '.join(sorted(unknown))}")
    report = Report(arguments.json)
    for name in wanted:
        if name == "cost":
            cost(report, arguments.runs, arguments.operations)
        else:
            parts[name](report)
    report.close()


if __name__ == "__main__":
    main()
