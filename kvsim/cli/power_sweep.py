"""`kvsim sweep --power`: one recorded run, and a node started on what a power cut may have left."""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kvsim.checks.verdict import Verdict
from kvsim.cli.arguments import chosen_seed
from kvsim.cli.loading import ScenarioCase
from kvsim.cli.output import show
from kvsim.config.cluster import Cluster, NodeSpec
from kvsim.config.scenario import Scenario
from kvsim.errors import Exit, RunInvalid
from kvsim.faults.power.disk_recording import DiskRecording
from kvsim.runner.job import RunOptions
from kvsim.runner.power_sweep import PowerSweep, is_read, leader_of, sweep_power, writes_of
from kvsim.runner.run import run_scenario
from kvsim.structs import to_dict
from kvsim.text import plural
from kvsim.timeouts import PLAIN
from kvsim.trials.trial import worst_exit

FINDINGS_MAX = 10
MOMENTS_MAX = 3


def sweep_cases(arguments: argparse.Namespace, cases: Sequence[ScenarioCase]) -> int:
    """Sweep each case; the worst exit status. Raises UsageError, RunInvalid."""
    seed = chosen_seed(arguments)
    print(f"seed {seed}", file=sys.stderr)
    return int(worst_exit(_sweep(arguments, case.scenario, case.cluster, seed) for case in cases))


def _sweep(arguments: argparse.Namespace, scenario: Scenario, cluster: Cluster, seed: int) -> Exit:
    recorded: dict[str, Any] = {}

    def on_writes(recordings: Mapping[str, DiskRecording], epoch_ns: int) -> None:
        recorded.update(recordings=recordings, epoch_ns=epoch_ns)

    options = RunOptions(seed=seed, out=arguments.out, on_writes=on_writes)
    finished = run_scenario(scenario, cluster, options, lambda *progress: None)
    if finished.proof.verdict is not Verdict.PASS:
        raise RunInvalid(
            "the recorded run did not pass, so nothing follows from its states: "
            f"{finished.run.path}"
        )
    writes = writes_of(finished.record, recorded["epoch_ns"])
    results = [
        sweep_power(
            cluster,
            node.name,
            recorded["recordings"][node.name],
            writes,
            limit=share,
            seed=seed,
            jobs=arguments.jobs,
            timeouts=PLAIN,
        )
        for node, share in _shares(cluster, arguments.power)
    ]
    survives = {node.name: node.survives_power for node in cluster.nodes}
    if arguments.json:
        rows = [to_dict(result) for result in results]
        print(json.dumps({"scenario": scenario.label, "seed": seed, "nodes": rows}))
    else:
        lines = (
            line
            for result in results
            for line in _lines(result, survives[result.node], is_read=is_read(cluster, result.node))
        )
        show("\n".join([f"{scenario.label}:", *lines]))
    if not any(result.tried for result in results):
        return Exit.INVALID
    if is_read(cluster, results[0].node) and not results[0].reads:
        return Exit.INVALID
    broken = any(result.findings and survives[result.node] for result in results)
    return Exit.FAIL if broken else Exit.PASS


def _shares(cluster: Cluster, limit: int) -> list[tuple[NodeSpec, int]]:
    """The nodes, the leader first, and about how many states of each: of the leader the half."""
    leader = leader_of(cluster)
    others = [node for node in cluster.nodes if node is not leader]
    if not others:
        return [(leader, limit)]
    return [(leader, limit // 2), *((node, limit // 2 // len(others)) for node in others)]


def _lines(result: PowerSweep, guaranteed: bool, *, is_read: bool) -> Iterator[str]:
    if result.skipped:
        yield f"  {result.node}: not tried: {result.skipped}"
        return
    legal = f"{result.legal:,}" if result.legal < 10**9 else f"about {result.legal:.1e}"
    yield (
        f"  {result.node}: {plural(result.moments, 'moment')} with {legal} legal states; "
        f"{result.made:,} were made{'' if result.made >= result.legal else ', the rest not'}"
    )
    yield (
        f"  {result.tried:,} differ in their files or in what has to be there: the node was "
        f"started on each, in {result.took_s:.1f} s"
        + (f", and {plural(result.reads, 'key')} read" if is_read else "; nothing was read")
    )
    if not result.findings:
        yield "  " + ("nothing that was acknowledged was lost" if is_read else "it started on all")
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
