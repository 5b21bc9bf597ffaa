"""`kvsim sweep --power`: one recorded run, and a node started on what a power cut may have left."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from kvsim.checks.verdict import Verdict
from kvsim.cli.arguments import chosen_seed
from kvsim.cli.loading import Case
from kvsim.cli.output import show
from kvsim.config.cluster import Cluster
from kvsim.config.needs import meets
from kvsim.config.scenario import Scenario
from kvsim.errors import Exit, RunInvalid, UsageError
from kvsim.faults.power.disk_recording import DiskRecording
from kvsim.runner.job import RunOptions
from kvsim.runner.power_sweep import PowerSweep, alone_of, sweep_power, writes_of
from kvsim.runner.run import run_scenario
from kvsim.text import plural
from kvsim.timeouts import PLAIN
from kvsim.trials.trial import worst_exit

FINDINGS_MAX = 10
MOMENTS_MAX = 3


def sweep_cases(arguments: argparse.Namespace, cases: Sequence[Case]) -> int:
    """Sweep each case; the worst exit status. Raises UsageError, RunInvalid."""
    seed = chosen_seed(arguments)
    print(f"seed {seed}", file=sys.stderr)
    return int(worst_exit(_sweep(arguments, case.scenario, case.cluster, seed) for case in cases))


def _sweep(arguments: argparse.Namespace, scenario: Scenario, cluster: Cluster, seed: int) -> Exit:
    alone = alone_of(cluster).nodes[0]
    if not meets(alone.program, "acks_alone"):
        raise UsageError(
            f"--power: program {alone.program.name} acknowledges a write only with other nodes, "
            "and a node is started alone here"
        )
    recorded: dict[str, Any] = {}

    def on_writes(recordings: Mapping[str, DiskRecording], epoch_ns: int) -> None:
        recorded.update(recording=recordings[alone.name], epoch_ns=epoch_ns)

    options = RunOptions(seed=seed, out=arguments.out, on_writes=on_writes)
    finished = run_scenario(scenario, cluster, options, lambda *progress: None)
    if finished.proof.verdict is not Verdict.PASS:
        raise RunInvalid(
            "the recorded run did not pass, so nothing follows from its states: "
            f"{finished.run.path}"
        )
    result = sweep_power(
        cluster,
        recorded["recording"],
        writes_of(finished.record, recorded["epoch_ns"]),
        limit=arguments.power,
        seed=seed,
        jobs=arguments.jobs,
        timeouts=PLAIN,
    )
    guaranteed = alone.survives_power
    if arguments.json:
        print(json.dumps({**asdict(result), "scenario": scenario.label, "seed": seed}))
    else:
        show("\n".join([f"{scenario.label}:", *_lines(result, guaranteed)]))
    if not result.tried or not result.reads:
        return Exit.INVALID
    return Exit.FAIL if result.findings and guaranteed else Exit.PASS


def _lines(result: PowerSweep, guaranteed: bool) -> Iterator[str]:
    legal = f"{result.legal:,}" if result.legal < 10**9 else f"about {result.legal:.1e}"
    yield (
        f"  {result.node}: {plural(result.moments, 'moment')} with {legal} legal states; "
        f"{result.made:,} were made{'' if result.made >= result.legal else ', the rest not'}"
    )
    yield (
        f"  {result.tried:,} differ in their files or in what has to be there: the node was "
        f"started on each, in {result.took_s:.1f} s, and {plural(result.reads, 'key')} read"
    )
    if not result.findings:
        yield "  nothing that was acknowledged was lost"
        return
    by_message: dict[str, list[str]] = defaultdict(list)
    for moment, message in result.findings:
        by_message[message].append(moment)
    yield (
        f"  {plural(len(result.findings), 'violation')}"
        + ("" if guaranteed else "; the program does not guarantee that it survives a power cut")
    )
    for message, moments in list(by_message.items())[:FINDINGS_MAX]:
        yield f"    {message}"
        first = [*dict.fromkeys(moments)][:MOMENTS_MAX]
        yield f"      {plural(len(moments), 'state')}: {'; '.join(first)}"
    if len(by_message) > FINDINGS_MAX:
        yield f"    and {len(by_message) - FINDINGS_MAX} other messages"
