"""Power cut: the nodes end at one moment, and their data directories lose what was not synced.

The preloaded library records what a node writes and syncs. When the power is about to be cut it
holds every sync, so that writes are there that wait for one; then the nodes are killed, and the
files get a state that the disk may have had (`power.disk_model`). Nothing is cut where the record
does not explain the files: that is evidence that the fault had no effect. Recovery starts the
nodes.
"""

from __future__ import annotations

import itertools
import random
import signal
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct, field

from kvsim.client.exchange import Response
from kvsim.config.fault_schema import StormDraw
from kvsim.config.schema import Choice, Duration, Field
from kvsim.config.target import Target
from kvsim.data_directory import NotInDirectory
from kvsim.errors import KvsimError
from kvsim.faults.fault import Evidence, Fault, FaultFailed, Recovery
from kvsim.faults.kill_during_request import DelayedSignal, SendRequest
from kvsim.faults.node_handle import NodeHandle, evidence_of_end, names_of, start_again
from kvsim.faults.power.disk_model import KEEPS, MODELS, DiskState, LostChange
from kvsim.faults.power.texts import texts_of
from kvsim.faults.preload.control import PreloadControl
from kvsim.faults.preload.shared_memory import HOLD_BIT
from kvsim.faults.registry import AT, BuildContext, FaultDeclaration
from kvsim.history.run_record import FILES_BACK
from kvsim.text import one_line, plural
from kvsim.waiting import Deadline, TimedOut, wait_until

# How long the nodes may work until one waits for a sync.
HELD_WITHIN_S = 0.03
# Of the changes that were lost, so many are listed, and so many words of them in all: the last.
LOST_MAX = 2000
TEXTS_MAX = 20_000
MESSAGE_FILES_MAX = 3
WHY_CUT = "the power was cut"


class PowerCut(Struct):
    """`keep`, `model`: keys of KEEPS and MODELS. `seed` draws what is kept.

    `after_request_s`: the power is cut during the next request, so long after it was sent; None: at
    once. `before`: by node, what its files were when the power was cut.
    """

    handles: tuple[NodeHandle, ...]
    preload: PreloadControl
    keep: str
    model: str
    seed: str
    after_request_s: float | None = None
    kind: str = "power_cut"
    before: dict[str, DiskState] = field(default_factory=dict)
    delayed: DelayedSignal | None = None
    late_evidence: list[Evidence] = field(default_factory=list)

    @property
    def nodes(self) -> tuple[str, ...]:
        return names_of(self.handles)

    def plan(self) -> Mapping[str, Any]:
        plan: dict[str, Any] = {"keep": self.keep, "model": self.model}
        if self.after_request_s is not None:
            plan["after_request_ms"] = round(self.after_request_s * 1000, 3)
        # By it, the times of the record are found on the clock of the run.
        return {**plan, "clock_ns": time.monotonic_ns()}

    def begin(self) -> Sequence[Evidence]:
        if self.after_request_s is not None:
            return ()
        return self._cut()

    def wrap(self, send: SendRequest) -> Response:
        """Send the request, and cut the power during it."""
        refused = self._out_of_reach()
        if refused:
            self.late_evidence += refused
            return send(lambda: None)
        processes = [process for handle in self.handles for process in handle.tree()]
        self._hold(on=True)
        self.delayed = DelayedSignal(processes, signal.SIGKILL, self.after_request_s or 0.0)
        try:
            response = self.delayed.during(send)
            if self.delayed.delivered:
                for handle in self.handles:
                    handle.expect_end()
                for handle in self.handles:
                    handle.record_kill("KILL", f"{WHY_CUT}, {self.delayed.message}")
                self.late_evidence += [self._cut_disk(handle) for handle in self.handles]
        finally:
            self._hold(on=False)
        return response

    def measure(self) -> Sequence[Evidence]:
        if self.after_request_s is None or self.late_evidence:
            return self.late_evidence
        if self.delayed is None:
            message = "no request was sent, so the power of {} was not cut"
            return [Evidence(name, None, message.format(name)) for name in self.nodes]
        message = self.delayed.message
        return [
            Evidence(name, False, f"the power of {name} was not cut: {message}")
            for name in self.nodes
        ]

    def recover(self) -> Sequence[Recovery]:
        self._hold(on=False)
        return [self._start(handle) for handle in self.handles]

    # --- the cut ------------------------------------------------------------------------------

    def _cut(self) -> list[Evidence]:
        refused = self._out_of_reach()
        if refused:
            return refused
        try:
            self._hold(on=True)
            self._wait_for_a_sync()
            for handle in self.handles:
                handle.expect_end()
                for process in handle.tree():
                    process.signal(signal.SIGKILL)
            for handle in self.handles:
                handle.record_kill("KILL", WHY_CUT)
            return [self._cut_disk(handle) for handle in self.handles]
        finally:
            self._hold(on=False)

    def _hold(self, *, on: bool) -> None:
        """While it is on, every sync waits: no write becomes synced any more."""
        for name in self.nodes:
            page = self.preload.pages[name]
            if on:
                page["held"] = 0
            page.switch(on=HOLD_BIT if on else 0, off=0 if on else HOLD_BIT)

    def _wait_for_a_sync(self) -> None:
        pages = [self.preload.pages[name] for name in self.nodes]
        try:
            wait_until(
                lambda: any(page["held"] for page in pages),
                Deadline.after(HELD_WITHIN_S),
                "a sync",
            )
        except TimedOut:
            # Nobody writes, or nobody syncs.
            return

    def _out_of_reach(self) -> list[Evidence]:
        """Why the power of these nodes cannot be cut; then of none of them is."""
        found = []
        for handle in self.handles:
            if handle.ended() is not None:
                raise FaultFailed(f"the power of {handle.name} cannot be cut: it {handle.ended()}")
            reason = self.preload.why_not_recorded(handle.tree(), handle.data_dir)
            if reason:
                found.append(_not_cut(handle.name, reason))
            else:
                self.preload.find_own_calls(handle.name, handle.tree(), handle.data_dir)
        return found

    def _cut_disk(self, handle: NodeHandle) -> Evidence:
        """Take what was not synced from the files of a node that has just been killed."""
        name, recording = handle.name, self.preload.recordings[handle.name]
        killed, cut_ns = evidence_of_end(handle), time.monotonic_ns()
        disk = recording.settle()
        recording.find_unseen_syncs()
        if self.preload.pages[name]["not_recorded"]:
            disk.not_followed.append("the record has no room for all calls")
        if disk.not_followed:
            return _not_cut(name, "; ".join(dict.fromkeys(disk.not_followed)), killed.message)
        disk.model = self.model
        synced = disk.is_synced
        state = disk.legal(self.keep, random.Random(f"{self.seed}:{name}"))
        lost = disk.lost(state)
        self.before[name] = disk.now()
        try:
            recording.put(state)
        except (NotInDirectory, OSError) as error:
            return _not_cut(name, f"its files cannot be written: {error}", killed.message)
        message = f"{killed.message}; its power was cut: {describe_lost(lost, synced=synced)}"
        measured = {
            **killed.measured,
            "keep": self.keep,
            "model": self.model,
            "cut_ns": cut_ns,
            "lost_count": len(lost),
            "lost": lost_to_json(lost[-LOST_MAX:]),
        }
        return Evidence(name, bool(killed.took_effect), message, measured)

    # --- after it -----------------------------------------------------------------------------

    def _start(self, handle: NodeHandle) -> Recovery:
        """Start the node. One that does not guarantee that it survives this may be damaged; then it
        gets its files back.
        """
        if handle.survives_power or handle.name not in self.before:
            return start_again(handle)
        if handle.ended() is None:
            return start_again(handle)
        try:
            handle.start()
        except KvsimError as error:
            if handle.ended() is None:
                handle.kill("KILL")
            self.preload.recordings[handle.name].put(self.before[handle.name])
            again = start_again(handle)
            message = (
                f"{handle.name} did not start from what the power cut left, and does not guarantee "
                f"that it does ({one_line(str(error))}); {FILES_BACK}: {again.message}"
            )
            return Recovery(handle.name, again.recovered, message)
        return Recovery(handle.name, True, f"{handle.name} is ready again")


def _not_cut(name: str, reason: str, killed: str = "") -> Evidence:
    message = f"{name}: its power cannot be cut: {reason}"
    return Evidence(name, False, f"{killed}; {message}" if killed else message, {"by": "nothing"})


# --- what was lost, as evidence -------------------------------------------------------------------


def lost_to_json(lost: Sequence[LostChange]) -> list[dict[str, Any]]:
    """The changes that were lost, in order; `texts`: the words in each, by which a check finds
    writes.
    """
    found: list[dict[str, Any]] = []
    left = TEXTS_MAX
    for change in reversed(lost):
        texts = list(itertools.islice(texts_of(change.data), left))
        left -= len(texts)
        found.append(
            {
                "file": change.path,
                "what": change.what,
                "at": change.at,
                "length": len(change.data),
                "synced_to": change.synced_to,
                "synced_ns": change.synced_ns,
                "made_ns": change.time_ns,
                "texts": texts,
            }
        )
    return found[::-1]


def describe_lost(lost: Sequence[LostChange], *, synced: bool) -> str:
    """What was lost, in one sentence: by file, how much, and up to where it was synced."""
    if not lost:
        return "nothing was lost, " + ("everything was synced" if synced else "by the draw")
    return "lost were " + "; ".join(_by_file(lost))


def _by_file(lost: Sequence[LostChange]) -> Iterator[str]:
    by_file: dict[str, list[LostChange]] = defaultdict(list)
    for change in lost:
        by_file[change.path].append(change)
    for path, changes in list(by_file.items())[:MESSAGE_FILES_MAX]:
        yield f"of {path} {_changes_of(changes)}"
    if len(by_file) > MESSAGE_FILES_MAX:
        yield f"changes of {len(by_file) - MESSAGE_FILES_MAX} more files"


def _changes_of(changes: Sequence[LostChange]) -> str:
    writes = [change for change in changes if change.what == "written"]
    others = sorted({change.what for change in changes if change.what != "written"})
    parts = []
    if writes:
        size = sum(len(change.data) for change in writes)
        synced = writes[0].synced_to
        last = "never synced" if writes[0].synced_ns is None else f"synced up to {synced:,}"
        parts.append(f"{plural(len(writes), 'write')} ({plural(size, 'byte')}; it was {last})")
    names = {
        "created": "that it was created (its folder was not synced)",
        "renamed": "that it was renamed (its folder was not synced)",
        "removed": "that it was removed (its folder was not synced)",
        "linked": "a name (its folder was not synced)",
        "resized": "a new size (it was not synced)",
    }
    return " and ".join([*parts, *(names[what] for what in others)])


# --- the kind -------------------------------------------------------------------------------------


class PowerCutSettings(Struct, frozen=True):
    at: Target
    keep: str
    model: str
    after_request: float | None


def _build(context: BuildContext, settings: PowerCutSettings) -> Fault:
    fault = PowerCut(
        context.handles(settings.at),
        context.preload,
        settings.keep,
        settings.model,
        f"{context.seed}:power",
        settings.after_request,
    )
    if settings.after_request is not None:
        context.wrap_next_request(fault.wrap)
    return fault


def _draw(draw: StormDraw, rng: random.Random) -> dict[str, Any]:
    settings = {"at": draw.target, "keep": rng.choice([*KEEPS, "none", "any"])}
    return {"power_cut": {**settings, "model": rng.choice(list(MODELS))}}


POWER_CUT = FaultDeclaration(
    name="power_cut",
    order=45,
    description="cut the power of the nodes: they end at one moment, and lose what was not synced",
    settings=PowerCutSettings,
    fields={
        "at": AT,
        "keep": Field(
            Choice(KEEPS), "what of the rest is kept", default="none", default_text="none"
        ),
        "model": Field(
            Choice(MODELS),
            "which names of files are kept",
            default="ext4",
            default_text="ext4",
        ),
        "after_request": Field(
            Duration(zero=True),
            "the time from the first request of the steps in `do` to the power cut; what is "
            "written for this request is not synced",
            default_text="at once",
        ),
    },
    build=_build,
    evidence="that of a kill; which files, offsets and bytes were lost, and how far each file was "
    "synced; none where the library did not see everything that the files hold",
    recovery="the node is ready again",
    draw=_draw,
    preloads=True,
    records=True,
    ends_nodes="always",
    cuts_power=True,
)
