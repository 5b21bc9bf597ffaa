"""One run from beginning to end: a run directory, the nodes, the steps, a clean end, the proof.

Joins launcher, runner and evidence. Whatever happens in between, nodes are stopped, the journal is closed and judged.
"""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass

from kvsim.config.cluster import Cluster
from kvsim.config.scenario import Scenario
from kvsim.config.variables import draw, new_seed
from kvsim.errors import NodeFailed
from kvsim.evidence.proof import Proof
from kvsim.evidence.verify import write_proof
from kvsim.history.journal import Journal
from kvsim.history.record import INTERRUPTED
from kvsim.launcher.launcher import PortLost
from kvsim.limits import settled
from kvsim.process.pace import measured
from kvsim.rundir import RunDir, new_run
from kvsim.scenario.broken_off import noted_if_broken_off
from kvsim.scenario.context import Context
from kvsim.scenario.final import abandon_loads, finish_loads
from kvsim.scenario.interrupt import Interrupted, Interrupts, orderly_interrupts
from kvsim.scenario.job import Job, Options, Show
from kvsim.scenario.readback import State
from kvsim.scenario.roles import Roles
from kvsim.scenario.runner import run_steps
from kvsim.scenario.sessions import Sessions
from kvsim.scenario.stage import Stage, attached, private_cluster

PORT_TRIES = 3


@dataclass(frozen=True)
class Done:
    """A run that is over: its directory and its proof."""

    run: RunDir
    proof: Proof


def run_scenario(scenario: Scenario, cluster: Cluster, options: Options, show: Show) -> Done:
    """Run a scenario and judge it. Raises UsageError when nothing could be started, RunInvalid when nothing can be recorded,
    KeyboardInterrupt when there is nothing to judge because it was interrupted at once.
    """
    seed = options.seed if options.seed is not None else new_seed()
    run = new_run(options.out or cluster.root / "runs", scenario.folder)
    shutil.copyfile(scenario.path, run.scenario)
    shutil.copyfile(cluster.path, run.cluster)
    limits = settled(options.time_limits, measured)
    job = Job(limits.stretched(scenario), limits.stretched(cluster), options, seed, run, show, limits)
    with noted_if_broken_off(job):
        _record(job)
        if not run.meta.exists():  # interrupted before anything had its place
            raise KeyboardInterrupt
        return Done(run, write_proof(run))


def _record(job: Job) -> None:
    """Everything up to the end of the journal."""
    with (
        contextlib.closing(Journal(job.run.journal, job.options.listen)) as journal,
        orderly_interrupts() as interrupts,
    ):
        journal.write("end", how=_until_the_end(job, journal, interrupts))
    if journal.broken:  # it may have broken in the thread that watches the logs
        raise journal.broken


def _until_the_end(job: Job, journal: Journal, interrupts: Interrupts) -> str:
    """Run the steps, on other ports once more where a stranger took one at the last moment; how it ended, in words."""
    cluster = attached if job.options.attach else private_cluster
    for tries_left in reversed(range(PORT_TRIES)):
        try:
            with cluster(job, journal, interrupts) as stage:
                interrupts.kill_all = stage.launcher.kill_all
                return _steps(job, stage, journal)
        except Interrupted:
            return INTERRUPTED
        except NodeFailed as error:
            if not (isinstance(error, PortLost) and tries_left):
                return f"stopped early: {str(error).splitlines()[0]}"
    raise AssertionError("unreachable")


def _steps(job: Job, stage: Stage, journal: Journal) -> str:
    """Start the nodes and run the steps. Raises NodeFailed when a node does not start; the checks say what that means."""
    context = context_of(job, stage, journal)
    try:
        if not job.options.attach:
            stage.launcher.start_all()
        run_steps(context, job.show, fail_fast=job.options.fail_fast)
        finish_loads(context)
    finally:
        abandon_loads(context)
        context.sessions.close()
    return "finished"


def context_of(job: Job, stage: Stage, journal: Journal) -> Context:
    """What the steps of a run share. Close its sessions when they are over."""
    scenario, seed, launcher = job.scenario, job.seed, stage.launcher
    sessions = Sessions(launcher, journal, scenario.request_timeout_s)
    return Context(
        scenario=scenario,
        cluster=job.cluster,
        launcher=launcher,
        sessions=sessions,
        roles=Roles(launcher, sessions, journal),
        journal=journal,
        variables=draw(scenario.variables, seed),
        seed=seed,
        state=State(launcher, sessions),
        run=job.run,
        links=stage.links,
        control=stage.control,
    )
