"""What is to be run and how: frozen values; what meta.json says of them; and the report of a run
that kvsim itself ended by an error.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct

import kvsim
from kvsim import shipped
from kvsim.config.cluster import Cluster, NodeSpec
from kvsim.config.program import Speak
from kvsim.config.program_schema import election_timeout_s
from kvsim.config.scenario import Scenario
from kvsim.config.template import render, render_pattern
from kvsim.config.variables import draw
from kvsim.config.yaml_nodes import display_path
from kvsim.errors import UsageError
from kvsim.history.journal import OnEvent
from kvsim.history.record_schema import RECORD_FORMAT
from kvsim.invocation import invocation
from kvsim.network.addresses import DIRECT_VIEWS, AddressViews, NodeAddress, names_for
from kvsim.run_directory import RunDirectory
from kvsim.runner.context import OnProgress
from kvsim.structs import to_dict
from kvsim.timeouts import CALIBRATED, PLAIN, Timeouts

if TYPE_CHECKING:
    from kvsim.faults.power.disk_recording import DiskRecording
    from kvsim.faults.preload.control import PreloadControl

# Checks that an attached run cannot be asked for: it neither starts nor stops the nodes.
CHECKS_OF_START_AND_STOP = frozenset(
    {"nodes_start", "log_is_prompt", "nodes_stay_up", "exits_clean", "no_leftovers"}
)

# Checks that are required of any program: without a fault that took effect, nothing was tested.
CHECKS_OF_FAULTS = frozenset({"faults_have_evidence"})
LOAD_CHECKS = "load_"


def _ignore_crash(run: RunDirectory) -> None:
    pass


class RunOptions(Struct, frozen=True):
    """How one run is made.

    `out` is the folder of run directories; None: `runs/` here. `keep` keeps data
    directories. `attach`: use the cluster that is up, and leave it up. `arguments` are the further
    arguments of the command that repeats the run. `on_event` receives every event of the run.
    `on_crash` is called when an error of kvsim ends the run. `preload`: load the library for faults
    of disks and clocks although no step asks for it. `time_limits` is a word of `kvsim.timeouts`.
    `on_writes`: what the nodes write is recorded as a whole, and given to it when they have
    stopped, by node, with the beginning of the run on the monotonic clock. `unproven`: why a run in
    which everything passes proves nothing yet; then it is unknown.
    """

    seed: int | None = None
    out: Path | None = None
    keep: bool = False
    fail_fast: bool = False
    attach: bool = False
    arguments: tuple[str, ...] = ()
    on_event: OnEvent | None = None
    on_crash: Callable[[RunDirectory], None] = _ignore_crash
    preload: bool = False
    time_limits: str = CALIBRATED
    unproven: str = ""
    on_writes: Callable[[Mapping[str, DiskRecording], int], None] | None = None


class Job(Struct, frozen=True):
    """What is to be run, and where it is recorded.

    `timeouts` are applied to the time limits in `scenario` and `cluster` already.
    """

    scenario: Scenario
    cluster: Cluster
    options: RunOptions
    seed: int
    run: RunDirectory
    on_progress: OnProgress
    timeouts: Timeouts = PLAIN


@contextlib.contextmanager
def report_crash(job: Job) -> Iterator[None]:
    """While inside, an error that ends the run is written into its directory before it is raised.

    A mistake of the user is not reported.
    """
    try:
        yield
    except UsageError:
        raise
    except Exception as error:
        lines = traceback.format_exception(error)
        head = traceback.format_exception_only(error)[-1].splitlines()[0]
        # A full disk may be the reason of the error.
        with contextlib.suppress(OSError):
            job.run.crash_report.write_text(f"{head}\n\n{''.join(lines)}", encoding="utf-8")
        job.options.on_crash(job.run)
        raise


def meta_of(
    job: Job,
    run_tag: str,
    addresses: Sequence[NodeAddress],
    views: AddressViews = DIRECT_VIEWS,
    preload: PreloadControl | None = None,
) -> dict[str, Any]:
    """The content of meta.json: all that judging needs besides the journal and the logs."""
    scenario, cluster, seed, system = job.scenario, job.cluster, job.seed, os.uname()
    return {
        "format": RECORD_FORMAT,
        "kvsim": kvsim.__version__,
        "python": sys.version.split()[0],
        "system": f"{system.sysname} {system.release}",
        "when": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "run": run_tag,
        "directory": job.run.path.name,
        "scenario": scenario.label,
        "cell": dict(scenario.cell),
        "title": scenario.title,
        "scenario_file": display_path(scenario.path),
        "cluster": cluster.name,
        "cluster_file": display_path(cluster.path),
        "seed": seed,
        "vars": dict(scenario.variables),
        "variables": draw(scenario.variables, seed),
        "checks": checks_of(
            scenario,
            attached=job.options.attach,
            program_replaced=job.cluster.program_replaced,
        ),
        "repeat_command": _repeat_command(job),
        "attached": job.options.attach,
        "program_replaced": job.cluster.program_replaced,
        "unproven": job.options.unproven,
        "lag": {"follower": cluster.lag.follower_has, "within_s": cluster.lag.within_s},
        "time_limits": job.timeouts.to_json(),
        "preloaded": preload.digest if preload else None,
        "nodes": {
            address.node.name: _node_meta(cluster, address, addresses, views)
            for address in addresses
        },
    }


def checks_of(scenario: Scenario, *, attached: bool, program_replaced: bool) -> list[str]:
    """The checks that a run of the scenario must have something to judge for."""
    return [name for name in scenario.checks if _is_required(name, attached, program_replaced)]


def _is_required(check: str, attached: bool, program_replaced: bool) -> bool:
    """Whether a check that the scenario names must have something to judge.

    A program that the files do not name may lack what a check of the record judges.
    """
    if attached and check in CHECKS_OF_START_AND_STOP:
        return False
    return check.startswith(LOAD_CHECKS) or not program_replaced or check in CHECKS_OF_FAULTS


def _node_meta(
    cluster: Cluster, address: NodeAddress, addresses: Sequence[NodeAddress], views: AddressViews
) -> dict[str, Any]:
    node, program = address.node, address.node.program
    names = names_for(cluster, address, [views.of(node.name, other) for other in addresses])
    return {
        "id": node.id,
        "role": node.role,
        "program": program.name,
        "address": f"{address.host}:{address.port}",
        "ports": [address.port, *address.ports.values(), *views.ports_of(node.name)],
        "hosts": list(views.hosts_of(address)),
        "capabilities": sorted(program.capabilities),
        "guarantees": dict(program.guarantees),
        "keeps": program.keeps,
        "survives_power": node.survives_power,
        "power_loses_s": node.power_loses_s,
        "log": {"never": list(program.log.never), "allow": list(program.log.allow)},
        "allow": _allowed(address, names),
        "clean_exits": sorted(program.stop.exits),
        "clean_exits_by": {by: sorted(exits) for by, exits in program.stop.exits_by.items()},
        "own_signal_is_clean": program.stop.own_signal,
        "connections": _connections(program.speak),
        "elections": _elections(node, names),
        "role_log": {
            role: render_pattern(pattern, names)
            for role, pattern in program.role_log.patterns.items()
        },
    }


def _elections(node: NodeSpec, names: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the checks of elections need; None: node.yaml does not describe how it elects."""
    elections = node.program.elections
    if elections is None:
        return None
    timeout_s = election_timeout_s(elections.timeout, names)
    return {
        "timeout_s": timeout_s,
        "serves_within_s": elections.serves_within_s,
        "on_disk": sorted(elections.on_disk),
        "logs": {
            kind: [render_pattern(pattern, names) for pattern in patterns]
            for kind, patterns in elections.logs.items()
        },
    }


def _allowed(address: NodeAddress, names: Mapping[str, Any]) -> dict[str, Any]:
    allow = address.node.program.allow
    return {**to_dict(allow), "files": [render(glob, names) for glob in allow.files]}


def _connections(speak: Speak) -> str:
    """Whether a client's connection lasts: `promised` by node.yaml, `usual`, or `may_close`.

    RFC 9112 lets an HTTP server close an idle connection at any time.
    """
    written = speak.settings.get("connection")
    if speak.kind in {"http", "command"} or written == "per_request":
        return "may_close"
    return "promised" if written == "persistent" else "usual"


def _repeat_command(job: Job) -> str:
    seed = ("--seed", str(job.seed))
    run = (*invocation(), "run", _scenario_argument(job.scenario.path))
    return shlex.join([*run, *job.scenario.cell_arguments, *seed, *job.options.arguments])


def _scenario_argument(path: Path) -> str:
    """The name of a scenario that is inside an installed kvsim; otherwise the path."""
    return shipped.installed_scenario(path) or display_path(path)
