"""Starting: readiness, log, port, files, and a second start on the same port."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from kvsim.config.template import render, render_pattern
from kvsim.doctor.program_under_test import ProgramUnderTest, RunningProgram
from kvsim.doctor.raw_requests import why_not_serving
from kvsim.doctor.registry import Diagnosis, diagnostic, error, ok, skipped, warning
from kvsim.errors import NodeFailed
from kvsim.folders import find_files
from kvsim.ip_addresses import is_loopback
from kvsim.launcher.node import Node
from kvsim.launcher.prepare import prepare, start_plan
from kvsim.network.addresses import names_for
from kvsim.process.child import ExitStatus
from kvsim.process.process_tree import members
from kvsim.process.sockets import listening
from kvsim.process.spawn import spawn
from kvsim.process.termination import KILL_NOW, stop_tree
from kvsim.text import enumerate_some, plural
from kvsim.waiting import Deadline, TimedOut, wait_until

LOG_WAIT_S = 1.0


@diagnostic("Does it start and become ready, in the time its node.yaml gives it?", order=0)
def starts(program: ProgramUnderTest) -> Diagnosis:
    begin = time.monotonic()
    try:
        with program.start(wait_for_log=True):
            return ok(f"ready after {time.monotonic() - begin:.2f}s")
    except NodeFailed as raised:
        return error(
            str(raised),
            "a program that does not start cannot be examined",
            "fix what the message names, or change `ready:` in node.yaml",
        )


@diagnostic("Can its log be read when it is written, or does it stay in a buffer?", order=10)
def log_is_prompt(program: ProgramUnderTest) -> Diagnosis:
    probes = program.spec.ready.all_of
    template = next((str(p.settings["pattern"]) for p in probes if p.kind == "log"), "")
    with program.start() as running:
        names = running.launcher.names(running.node.name)
        pattern = render_pattern(template, names) if template else "."
        if _logs(running, pattern):
            return ok("its lines are there when they are written")
        running.launcher.stop_all()
        if not running.node.search(pattern):
            return warning(
                f"no line ever matched {pattern!r}" if template else "it logged nothing",
                "a log is read first when something is wrong",
                "log one line when it serves, and name it in `ready: {log: …}`",
            )
    return error(
        "its log came only when it ended",
        "output to a file stays in a buffer, so that a crash loses the last lines",
        "flush after each line (setvbuf, fflush, std::endl), or set `log: linebuf` or `log: pty` "
        "in node.yaml",
    )


def _logs(running: RunningProgram, pattern: str) -> bool:
    with contextlib.suppress(TimedOut):
        deadline = Deadline.after(LOG_WAIT_S)
        return wait_until(lambda: running.node.search(pattern), deadline, "a log line")
    return False


@diagnostic("Does it listen on the port it is given, and on no other?", order=20)
def honours_port(program: ProgramUnderTest) -> Diagnosis:
    with program.start() as running:
        address = running.node.address
        given = {address.port, *address.ports.values()}
        found = {listener.port for listener in running.listeners()}
    other = [] if program.spec.allow.ports else sorted(found - given)
    if address.port not in found:
        return error(
            f"it was given port {address.port} and listens on {other or 'none'}",
            "two nodes cannot run on one machine",
            "use `{port}` in `start`",
        )
    if other:
        return warning(
            f"it also listens on {', '.join(map(str, other))}",
            "a second node on the same machine may find that port in use",
            "name it in `ports:` and use `{ports.NAME}`, or write `allow: {ports: true}` in "
            "node.yaml",
        )
    return ok(f"it listens on port {address.port} only")


@diagnostic("Can only this machine reach it?", order=30)
def loopback_only(program: ProgramUnderTest) -> Diagnosis:
    with program.start() as running:
        listeners = running.listeners()
    public = sorted(
        {
            f"{listener.address}:{listener.port}"
            for listener in listeners
            if not is_loopback(listener.address)
        }
    )
    if public and program.spec.allow.hosts:
        return ok(f"it listens on {', '.join(public)}, as node.yaml allows")
    if public:
        return warning(
            f"it listens on {', '.join(public)}",
            "any machine in the same network can reach it while it is tested",
            "bind to 127.0.0.1 (use `{host}` in `start`), or write `allow: {hosts: true}` in "
            "node.yaml",
        )
    return ok("it listens on loopback only")


@diagnostic("Does it keep its files in its data directory, and nowhere else?", order=40)
def honours_data_dir(program: ProgramUnderTest) -> Diagnosis:
    with program.start() as running:
        if program.supports("put"):
            running.ask("put", {"key": "doctor", "value": "stored"})
        data = running.node.data
        inside = find_files(data)
        names = running.launcher.names(running.node.name)
        running.launcher.stop_all()
        allowed = [render(glob, names) for glob in program.spec.allow.files]
        outside = [
            _shortened(event["path"], running.node.folder)
            for event in running.events_of("outside_file")
            if not any(fnmatchcase(event["path"], glob) for glob in allowed)
        ]
    if outside:
        return error(
            f"it wrote {enumerate_some(outside)}, outside its data directory",
            "two nodes on one machine, or two runs, may share these files",
            "put every file below `{data_dir}`, or name it in `allow: {files: …}` in node.yaml",
        )
    if not inside:
        return ok("it wrote no file at all")
    return ok(f"{plural(len(inside), 'file')}, all in its data directory")


def _shortened(path: str, folder: Path) -> str:
    """The name of a file in the working directory, otherwise its path."""
    return Path(path).name if Path(path).parent == folder else path


@diagnostic(
    "Does a second instance on the same port fail with a message, while the first serves?",
    order=50,
    needs_answers=True,
)
def second_instance(program: ProgramUnderTest) -> Diagnosis:
    with program.start() as running:
        if program.spec.init or len(running.launcher.nodes) > 1:
            return skipped(
                "a second instance needs its own data directory, made by `init` or by joining "
                "the cluster"
            )
        ended, listens = _start_second(running)
        trouble = why_not_serving(running)
    if trouble:
        return error(
            f"beside a second instance on its port, {trouble}",
            "starting it twice by mistake breaks the instance that serves",
            "do not set SO_REUSEPORT",
        )
    if listens:
        return error(
            "both took the port",
            "the kernel gives connections to either: half of the clients reach another store",
            "do not set SO_REUSEPORT",
        )
    if ended is not None and ended.crashed:
        return error(
            f"the second instance {ended.describe()}",
            "a port that is in use crashes it instead of being reported",
            "look at what bind returned, print a message and exit with another status than 0",
        )
    if ended is None:
        return warning(
            f"the second instance still ran {program.timeout_s:g}s later, without the port",
            "it looks started",
            "exit with a message when bind fails",
        )
    if ended.code == 0:
        return warning(
            "the second instance ended with status 0",
            "a script takes that for success",
            "exit with another status than 0 when bind fails",
        )
    return ok(f"the second instance {ended.describe()}")


def _start_second(running: RunningProgram) -> tuple[ExitStatus | None, bool]:
    """How a second instance ended, and whether it took the port beside the first."""
    first = running.node
    folder = first.folder / "second"
    address = replace(first.address, data_dir=str(folder / "data"))
    node = Node(address, first.tag, folder)
    names: Mapping[str, Any] = names_for(running.launcher.cluster, address, [address])
    prepare(node, names)
    node.next_incarnation()
    child = spawn(start_plan(node, names))

    def listens() -> bool:
        sockets = listening(members(child.identity))
        return any(listener.port == address.port for listener in sockets)

    deadline = Deadline.after(running.timeout_s)
    try:
        with contextlib.suppress(TimedOut):
            wait_until(lambda: child.poll() is not None or listens(), deadline, "its end")
        ended = child.poll()
        return ended, ended is None and listens()
    finally:
        stop_tree(child, KILL_NOW)
