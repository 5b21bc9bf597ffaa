"""Open a cluster for a Python test and close it again: a run of its own, recorded, judged, with proof and film.

Knows nothing of pytest. Whatever happens inside, the nodes are stopped and the run is judged.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kvsim.client.connect import settings_of
from kvsim.config.cluster import Cluster
from kvsim.config.cluster_file import load_cluster
from kvsim.config.scenario import Scenario
from kvsim.config.variables import new_seed
from kvsim.evidence.proof import Proof
from kvsim.evidence.verify import write_proof
from kvsim.history.journal import Journal
from kvsim.launcher.launcher import PortLost
from kvsim.limits import CALIBRATED, settled
from kvsim.live.cluster import LiveCluster
from kvsim.process.pace import measured
from kvsim.report.write import write_reports
from kvsim.rundir import RunDir, new_run
from kvsim.scenario.interrupt import Interrupts
from kvsim.scenario.job import Job, Options
from kvsim.scenario.run import context_of
from kvsim.scenario.stage import private_cluster

START_TRIES = 3


@dataclass(frozen=True)
class Wanted:
    """Which cluster, for which test: `file` is the test's own file, `out` where its run directory goes."""

    cluster: Path
    name: str
    file: Path
    out: Path
    program: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    again: str = ""
    time_limits: str = CALIBRATED
    preload: bool = False  # what breaks disks and clocks


@dataclass
class Opened:
    """A cluster and, once it is closed, its proof. `ended` is how the run ended, in words; whoever knows more may say so."""

    cluster: LiveCluster
    run: RunDir
    ended: str = "finished"
    proof: Proof | None = None


@contextlib.contextmanager
def opened(wanted: Wanted) -> Iterator[Opened]:
    """Start a private cluster and wait until it is ready; stop and judge it afterwards.

    Raises FileProblems for the cluster file, NodeFailed when a node does not start.
    """
    cluster = load_cluster(wanted.cluster, wanted.program, dict(wanted.options), settings_of)
    run = new_run(wanted.out, wanted.name)
    shutil.copyfile(wanted.file, run.scenario)
    shutil.copyfile(cluster.path, run.cluster)
    made: Opened | None = None
    try:
        with contextlib.closing(Journal(run.journal)) as journal:
            how = "stopped early: the cluster did not start"
            try:
                with _started(wanted, cluster, run, journal) as live:
                    made = Opened(live, run)
                    yield made
            finally:
                journal.write("end", how=made.ended if made else how)
    finally:
        proof = write_proof(run)
        write_reports(run, proof)
        if made:
            made.proof = proof


@contextlib.contextmanager
def _started(wanted: Wanted, cluster: Cluster, run: RunDir, journal: Journal) -> Iterator[LiveCluster]:
    """The cluster, started; on other ports once more where a stranger took one at the last moment."""
    scenario = Scenario(wanted.name, wanted.name, wanted.file, cluster.path, ())
    seed = wanted.seed if wanted.seed is not None else new_seed()
    limits = settled(wanted.time_limits, measured)
    job = Job(
        scenario,
        limits.stretched(cluster),
        Options(preload=wanted.preload),
        seed,
        run,
        lambda *_: None,
        limits,
    )
    with contextlib.ExitStack() as stack:
        for tries_left in reversed(range(START_TRIES)):
            stage = stack.enter_context(private_cluster(job, journal, Interrupts()))
            context = context_of(job, stage, journal)
            stack.callback(context.sessions.close)
            try:
                stage.launcher.start_all()
                break
            except PortLost:
                if not tries_left:
                    raise
                stack.pop_all().close()
        _say_how_to_repeat(run, wanted.again)
        yield LiveCluster(context, wanted.name)


def _say_how_to_repeat(run: RunDir, again: str) -> None:
    """A run of a Python test is repeated by running the test."""
    meta = json.loads(run.meta.read_text(encoding="utf-8"))
    run.write_meta({**meta, "again": again or meta["again"]})
