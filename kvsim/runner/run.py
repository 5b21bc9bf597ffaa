"""One run from beginning to end: a run directory, the nodes, the steps, a clean end, the proof.

Joins launcher, runner and proof. Whatever happens in between, the nodes are stopped, the journal is
closed, and the run is judged.
"""

from __future__ import annotations

import contextlib
import shutil
from functools import partial

from msgspec import Struct

from kvsim.config.cluster import Cluster
from kvsim.config.scenario import Scenario
from kvsim.config.variables import draw, new_seed
from kvsim.errors import LoadBroken, NodeFailed, RunInvalid
from kvsim.history.journal import Journal
from kvsim.history.run_record import CLOCK_GAP, INTERRUPTED, RunRecord
from kvsim.launcher.launcher import PortLost
from kvsim.process.calibration import measure_slowness
from kvsim.process.clock_gaps import watch_own_clock
from kvsim.process.inherited import check_inherited
from kvsim.proof.proof import Proof
from kvsim.proof.verify import end_journal, write_proof
from kvsim.run_directory import RunDirectory, new_run, runs_folder
from kvsim.runner.connections import Connections, ObservedState
from kvsim.runner.context import Context, OnProgress
from kvsim.runner.interrupts import Interrupted, Interrupts, orderly_interrupts
from kvsim.runner.job import Job, RunOptions, report_crash
from kvsim.runner.roles import RoleObserver
from kvsim.runner.run_cluster import RunCluster, attached, private_cluster
from kvsim.runner.runner import run_steps
from kvsim.runner.steps.workload import abandon_loads, finish_loads
from kvsim.text import one_line
from kvsim.timeouts import timeouts_for

PORT_TRIES = 3


class FinishedRun(Struct, frozen=True):
    """A run that is over: its directory, what is recorded there, and its proof."""

    run: RunDirectory
    record: RunRecord
    proof: Proof


def run_scenario(
    scenario: Scenario, cluster: Cluster, options: RunOptions, on_progress: OnProgress
) -> FinishedRun:
    """Run a scenario and judge it.

    Raises UsageError when nothing could be started, RunInvalid when nothing can be recorded, and
    KeyboardInterrupt when the run was interrupted before there was anything to judge.
    """
    seed = options.seed if options.seed is not None else new_seed()
    check_inherited()
    run = new_run(runs_folder(options.out), scenario.folder)
    shutil.copyfile(scenario.path, run.scenario)
    shutil.copyfile(cluster.path, run.cluster)
    timeouts = timeouts_for(options.time_limits, measure_slowness)
    job = Job(
        timeouts.scaled(scenario),
        timeouts.scaled(cluster),
        options,
        seed,
        run,
        on_progress,
        timeouts,
    )
    with report_crash(job):
        _record(job)
        if not run.meta.exists():
            # It was interrupted before the nodes had their addresses.
            raise KeyboardInterrupt
        record = RunRecord.load(run)
        return FinishedRun(run, record, write_proof(run, record))


def _record(job: Job) -> None:
    """Everything up to the end of the journal."""
    with (
        contextlib.closing(Journal(job.run.journal, job.options.on_event)) as journal,
        orderly_interrupts() as interrupts,
    ):
        with watch_own_clock(partial(_note_gap, journal)):
            how = _run_until_end(job, journal, interrupts)
        end_journal(journal, job.run, how)
    if journal.broken:
        # It may have broken in the thread that watches the logs.
        raise journal.broken


def _note_gap(journal: Journal, began_ns: int, ended_ns: int) -> None:
    """Note that kvsim itself did not run.

    A journal that cannot be written raises again when the runner writes to it.
    """
    with contextlib.suppress(RunInvalid):
        journal.write(
            CLOCK_GAP,
            of="kvsim",
            began_s=journal.since_s(began_ns),
            ended_s=journal.since_s(ended_ns),
        )


def _run_until_end(job: Job, journal: Journal, interrupts: Interrupts) -> str:
    """Run the steps; how the run ended, in words.

    Starts again on other ports when another process took one of them at the last moment.
    """
    cluster_of = attached if job.options.attach else private_cluster
    for tries_left in reversed(range(PORT_TRIES)):
        try:
            with cluster_of(job, journal, interrupts) as nodes:
                interrupts.kill_all = nodes.launcher.kill_all
                return _run_steps(job, nodes, journal)
        except Interrupted:
            return INTERRUPTED
        except LoadBroken as error:
            return f"stopped early: {one_line(str(error))}"
        except NodeFailed as error:
            if not (isinstance(error, PortLost) and tries_left):
                return f"stopped early: {one_line(str(error))}"
    raise AssertionError("unreachable")


def _run_steps(job: Job, nodes: RunCluster, journal: Journal) -> str:
    """Start the nodes and run the steps. Raises NodeFailed when a node does not start."""
    context = context_of(job, nodes, journal)
    try:
        if not job.options.attach:
            nodes.launcher.start_all()
        run_steps(context, job.on_progress, fail_fast=job.options.fail_fast)
        finish_loads(context)
    finally:
        abandon_loads(context)
        context.connections.close()
    return "finished"


def context_of(job: Job, nodes: RunCluster, journal: Journal) -> Context:
    """What the steps of a run share. Close its connections when they are over."""
    scenario, seed, launcher = job.scenario, job.seed, nodes.launcher
    connections = Connections(launcher, journal, scenario.request_timeout_s)
    return Context(
        scenario=scenario,
        cluster=job.cluster,
        launcher=launcher,
        connections=connections,
        role_observer=RoleObserver(launcher, connections, journal),
        journal=journal,
        variables=draw(scenario.variables, seed),
        seed=seed,
        observed_state=ObservedState(launcher, connections),
        run=job.run,
        links=nodes.links,
        preload=nodes.preload,
    )
