"""The commands that change nodes of the cluster that is up: kill, start, restart, pause, resume,
promote. Each does what the verb or the fault of its name does in a scenario.
"""

from __future__ import annotations

import argparse

from kvsim.argument_types import Seconds
from kvsim.checks.expectations import describe
from kvsim.cli.arguments import Subcommand
from kvsim.cli.cluster_session import (
    ClusterSession,
    add_targets,
    locked_cluster,
    on_each,
    step_fields,
)
from kvsim.client.exchange import Request
from kvsim.config.schema import SIGNALS, Signal, signal_of
from kvsim.errors import Exit, NodeFailed, UsageError
from kvsim.faults.pause import Pause
from kvsim.history.outcome import OutcomeKind
from kvsim.runner.steps.faults import step_handle
from kvsim.runner.steps.processes import KillStep, RestartStep, StartStep
from kvsim.runner.steps.requests import PROMOTE_S, send
from kvsim.text import did_you_mean

KILL = """\
Kill nodes of the cluster that is up, and wait until they are dead.

`kvsim start` starts them again on the same data. TARGET is node names, or a target as in a
scenario: kvsim kill leader
"""
START = """\
Start nodes of the cluster that is up which were killed or stopped, on the data they had, and wait
until they are ready.
"""
RESTART = """\
Stop nodes of the cluster that is up by their program's stop sequence, and start them again on the
same data.
"""
PAUSE = """\
Stop every thread of nodes of the cluster that is up (SIGSTOP): they keep their connections and
answer nothing.

`kvsim resume` lets them continue. Prints the evidence: the state of the threads, and a ping that is
not answered.
"""
RESUME = """\
Let paused nodes of the cluster that is up continue (SIGCONT), and wait until they answer.
"""
PROMOTE = """\
Make a node of the cluster that is up the leader, by the request `promote` of its program's
node.yaml.

Prints the reply, and what every node reports afterwards. Exit status: 0 promoted, 1 refused,
2 unknown (no answer: it may have happened), 4 when its program has no such request.
"""
PROMOTE_STATUS = {
    OutcomeKind.OK: Exit.PASS,
    OutcomeKind.REFUSED: Exit.FAIL,
    OutcomeKind.UNKNOWN: Exit.UNKNOWN,
}


def _configure_kill(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    parser.add_argument(
        "--signal",
        type=_signal,
        default="KILL",
        help=f"send this signal instead: {', '.join(SIGNALS)} (default: KILL)",
    )


def _signal(text: str) -> str:
    name = signal_of(text)
    if name is None:
        raise argparse.ArgumentTypeError(
            f"expected {Signal.expected}, found {text!r}{did_you_mean(text.upper(), SIGNALS)}"
        )
    return name


def _kill(arguments: argparse.Namespace) -> int:
    with locked_cluster(arguments, "kill its nodes") as session:

        def kill(name: str) -> str:
            pid = session.running(name, "kill").started_process.pid
            session.run(KillStep(**step_fields("kill", name), signal=arguments.signal), name)
            return f"{name} is dead (was pid {pid})"

        return on_each(session.targets(arguments.target), kill)


def _start(arguments: argparse.Namespace) -> int:
    with locked_cluster(arguments, "start its nodes") as session:

        def start(name: str) -> str:
            session.run(StartStep(**step_fields("start", name)), name)
            return f"{name} is ready ({_pid(session, name)})"

        return on_each(session.targets(arguments.target, prefer_up=False), start)


def _restart(arguments: argparse.Namespace) -> int:
    with locked_cluster(arguments, "restart its nodes") as session:

        def restart(name: str) -> str:
            session.run(RestartStep(**step_fields("restart", name)), name)
            return f"{name} is ready again ({_pid(session, name)})"

        return on_each(session.targets(arguments.target), restart)


def _pid(session: ClusterSession, name: str) -> str:
    return f"pid {session.launcher.nodes[name].started_process.pid}"


def _pause(arguments: argparse.Namespace) -> int:
    with locked_cluster(arguments, "pause its nodes") as session:

        def pause(name: str) -> str:
            session.running(name, "pause")
            (evidence,) = Pause((step_handle(session.context, name),)).begin()
            if not evidence.took_effect:
                raise NodeFailed(name, f"the pause had no effect: {evidence.message}")
            return evidence.message

        return on_each(session.targets(arguments.target), pause)


def _resume(arguments: argparse.Namespace) -> int:
    with locked_cluster(arguments, "resume its nodes") as session:

        def resume(name: str) -> str:
            session.running(name, "resume")
            (recovery,) = Pause((step_handle(session.context, name),)).recover()
            if not recovery.recovered:
                raise NodeFailed(name, recovery.message)
            return recovery.message

        return on_each(session.targets(arguments.target), resume)


def _configure_promote(parser: argparse.ArgumentParser) -> None:
    add_targets(parser)
    parser.add_argument(
        "--timeout",
        type=Seconds(),
        default=PROMOTE_S,
        metavar="SECONDS",
        help=f"how long to wait for the answer (default: {PROMOTE_S:g})",
    )


def _promote(arguments: argparse.Namespace) -> int:
    with locked_cluster(arguments, "promote a node") as session:
        nodes = session.targets(arguments.target)
        if len(nodes) != 1:
            names = ", ".join(nodes)
            raise UsageError(f"one node can be promoted at a time, and the target is {names}")
        (name,) = nodes
        _check_can_promote(session, name)
        request = Request("promote")
        outcome = send(session.context, "", name, request, within_s=arguments.timeout).outcome
        print(f"{name} promote: {describe(outcome)}")
        print(f"now {session.report_roles()}")
    return int(PROMOTE_STATUS[outcome.kind])


def _check_can_promote(session: ClusterSession, name: str) -> None:
    program = session.launcher.nodes[name].program
    if "promote" not in program.requests:
        raise UsageError(
            f"{name}: program {program.name} has no request `promote`; describe in its node.yaml, "
            "under `requests`, how a node of it becomes the leader"
        )


COMMANDS = {
    "kill": Subcommand(KILL, _configure_kill, _kill),
    "start": Subcommand(START, add_targets, _start),
    "restart": Subcommand(RESTART, add_targets, _restart),
    "pause": Subcommand(PAUSE, add_targets, _pause),
    "resume": Subcommand(RESUME, add_targets, _resume),
    "promote": Subcommand(PROMOTE, _configure_promote, _promote),
}
