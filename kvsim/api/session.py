"""Open a cluster for a Python test and close it again: a run, recorded, judged, with a timeline.

Does not know pytest. The nodes are stopped and the run is judged even when the test raises.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct, field

from kvsim.api.cluster import LiveCluster
from kvsim.config.cluster import Cluster
from kvsim.config.cluster_loader import load_cluster
from kvsim.config.scenario import Scenario, Step
from kvsim.config.variables import new_seed
from kvsim.history.journal import Journal
from kvsim.history.run_record import RunRecord
from kvsim.launcher.launcher import PortLost
from kvsim.process.calibration import measure_slowness
from kvsim.process.inherited import check_inherited
from kvsim.proof.proof import Proof
from kvsim.proof.verify import end_journal, write_proof
from kvsim.report.write import write_reports
from kvsim.run_directory import RunDirectory, new_run
from kvsim.runner.context import StepResult
from kvsim.runner.interrupts import Interrupts
from kvsim.runner.job import Job, RunOptions
from kvsim.runner.registry import REGISTRY
from kvsim.runner.run import context_of
from kvsim.runner.run_cluster import private_cluster
from kvsim.timeouts import CALIBRATED, timeouts_for

START_TRIES = 3


class SessionOptions(Struct, frozen=True):
    """Which cluster, for which test.

    `file` is the test's own file, `out` the folder of its run directory. `preload`: load the
    library that breaks disks and clocks.
    """

    cluster: Path
    name: str
    file: Path
    out: Path
    program: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    seed: int | None = None
    repeat_command: str = ""
    time_limits: str = CALIBRATED
    preload: bool = False


class Session(Struct):
    """A cluster and, once it is closed, its proof.

    `ended` describes how the run ended; the user of the session may set it.
    """

    cluster: LiveCluster
    run: RunDirectory
    ended: str = "finished"
    proof: Proof | None = None


@contextlib.contextmanager
def open_session(options: SessionOptions) -> Iterator[Session]:
    """Start a private cluster and wait until it is ready; stop it and judge its run afterwards.

    Raises FileProblems for the cluster file, NodeFailed when a node does not start.
    """
    cluster = load_cluster(options.cluster, REGISTRY, options.program, options.options)
    check_inherited()
    run = new_run(options.out, options.name)
    shutil.copyfile(options.file, run.scenario)
    shutil.copyfile(cluster.path, run.cluster)
    session: Session | None = None
    try:
        with contextlib.closing(Journal(run.journal)) as journal:
            not_started = "stopped early: the cluster did not start"
            try:
                with _started(options, cluster, run, journal) as live:
                    session = Session(live, run)
                    yield session
            finally:
                end_journal(journal, run, session.ended if session else not_started)
    finally:
        record = RunRecord.load(run)
        proof = write_proof(run, record)
        write_reports(run, record, proof)
        if session:
            session.proof = proof


@contextlib.contextmanager
def _started(
    options: SessionOptions, cluster: Cluster, run: RunDirectory, journal: Journal
) -> Iterator[LiveCluster]:
    """The cluster, started.

    Starts again on other ports when another process took one of them at the last moment.
    """
    scenario = Scenario(options.name, options.name, options.file, cluster.path, ())
    seed = options.seed if options.seed is not None else new_seed()
    timeouts = timeouts_for(options.time_limits, measure_slowness)
    job = Job(
        scenario,
        timeouts.scaled(cluster),
        RunOptions(preload=options.preload),
        seed,
        run,
        _show_nothing,
        timeouts,
    )
    with contextlib.ExitStack() as stack:
        for tries_left in reversed(range(START_TRIES)):
            nodes = stack.enter_context(private_cluster(job, journal, Interrupts()))
            context = context_of(job, nodes, journal)
            stack.callback(context.connections.close)
            try:
                nodes.launcher.start_all()
                break
            except PortLost:
                if not tries_left:
                    raise
                stack.pop_all().close()
        _set_repeat_command(run, options.repeat_command)
        yield LiveCluster(context, options.name)


def _show_nothing(step: Step, nodes: str, result: StepResult | None) -> None:
    pass


def _set_repeat_command(run: RunDirectory, repeat_command: str) -> None:
    """A run of a Python test is repeated by running the test."""
    meta = json.loads(run.meta.read_text(encoding="utf-8"))
    run.write_meta({**meta, "repeat_command": repeat_command or meta["repeat_command"]})
