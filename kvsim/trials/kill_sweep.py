"""A scenario with a kill during each of its writes, after several delays: a grid of variants.

Makes variants and reads run records; starts nothing. A variant is the scenario up to one write,
during which a node is killed and after which it is started again, and a read of the key. The steps
after the write are left out: they expect its effect, and that is unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from kvsim.config.scenario_writer import with_values
from kvsim.config.target import parse_target
from kvsim.config.yaml_nodes import Fields, Items, Scalar, double_quoted, flow_style
from kvsim.history.outcome import OutcomeKind, Reason
from kvsim.history.run_record import WRITE_VERBS, RequestRecord, RunRecord
from kvsim.structs import to_dict
from kvsim.text import truncate
from kvsim.trials.nodes_left_down import may_be_down_before
from kvsim.trials.scenario_edit import StepPath, end_at, step_at, verb_and_fields
from kvsim.trials.sweep import Variant, rows_of, steps_of
from kvsim.trials.trial import Ending, TrialResult

ANY_REPLY = ("ok", "not_found", "mismatch", "refused", "unknown", "unreachable")
# Fields of a write that a write of unknown effect cannot have.
EXPECTATIONS = ("expect", "eventually", "always")
# A store that elects needs a new leader before it serves the read.
READ_TIMEOUT = "10s"
STEP_MAX = 60


class KilledWrite(Struct, frozen=True):
    """What became of the write during which a run killed a node.

    `outcome`: ok, refused, unknown, unreachable, `nothing to do` or `not sent`. `kept`: the key
    showed the write afterwards; None when the read was not answered. `in_flight`: the write had not
    been answered when the signal was sent; None when no node was killed. `kill_ms`: from the write
    being sent to the signal.
    """

    ending: Ending
    outcome: str = ""
    kept: bool | None = None
    in_flight: bool | None = None
    kill_ms: float | None = None

    def __str__(self) -> str:
        verdict = "" if self.ending is Ending.PASS else self.ending.upper()
        kept = {True: "kept", False: "not kept", None: ""}[self.kept]
        after = {True: "", False: "(after)", None: "(not killed)"}[self.in_flight]
        return " ".join(filter(None, (verdict, self.outcome, kept, after)))

    def to_json(self) -> dict[str, Any]:
        return {**to_dict(self), "ending": str(self.ending)}


def writes_of(scenario: Fields) -> Mapping[str, StepPath]:
    """Number → path of each write in a group or outside all groups."""
    return {
        row: path for row, path in rows_of(scenario).items() if _is_write(step_at(scenario, path))
    }


def _is_write(step: object) -> bool:
    found = verb_and_fields(step) if isinstance(step, Fields) else None
    return found is not None and found[0].text in WRITE_VERBS


def kill_variants(scenario: Fields, delays: Sequence[str], target: str) -> list[Variant]:
    """Every variant: a row for each write, a column for each delay; `target` is killed.

    Writes before which the scenario may have left such a node down are skipped.
    """
    killed = parse_target(target)
    return [
        Variant(row, delay, _with_kill(scenario, path, delay, target))
        for row, path in writes_of(scenario).items()
        if not may_be_down_before(scenario, path, killed)
        for delay in delays
    ]


def _with_kill(scenario: Fields, path: StepPath, delay: str, target: str) -> Fields:
    found = verb_and_fields(step_at(scenario, path))
    if found is None:
        raise IndexError(f"no write at {path}")
    verb, fields = found
    key = fields.get("key") or Scalar(fields.location, "")
    kept = tuple(entry for entry in fields.entries if entry[0].text not in EXPECTATIONS)
    replies = Items(fields.location, tuple(Scalar(fields.location, word) for word in ANY_REPLY))
    any_reply = Fields(fields.location, ((Scalar(fields.location, "any_of"), replies),))
    write = Fields(fields.location, (*kept, (Scalar(fields.location, "expect"), any_reply)))
    kill = f"{{at: {double_quoted(target)}, after_request: {delay}}}"
    read = f"{{at: leader, key: {flow_style(key)}, expect: served, eventually: {READ_TIMEOUT}}}"
    steps = (
        f"- fault: {{kill: {kill}, do: [{{{verb.text}: {flow_style(write)}}}]}}\n- get: {read}\n"
    )
    return with_values(end_at(scenario, path, steps_of(steps)), checks="")


def killed_write_of(result: TrialResult, record: RunRecord | None) -> KilledWrite:
    """What one run of a variant showed; `record` is None when the run left none."""
    if record is None or not record.faults:
        return KilledWrite(result.ending)
    fault = record.faults[-1]
    measured: Mapping[str, Any] = next(
        (item["measured"] for item in fault.evidence if "in_flight" in item["measured"]), {}
    )
    requests = [request for request in record.operations if request.purpose == "step"]
    inside = (request for request in requests if request.step.startswith(f"{fault.id}."))
    write = next(inside, None)
    read = requests[-1] if requests and requests[-1].verb == "get" else None
    return KilledWrite(
        ending=result.ending,
        outcome=_outcome(write) if write else "not sent",
        kept=_kept(write, read) if write and read else None,
        in_flight=measured.get("in_flight"),
        kill_ms=measured.get("kill_ms"),
    )


def _outcome(write: RequestRecord) -> str:
    if write.outcome.reason is Reason.UNREACHABLE:
        return "unreachable"
    if write.outcome.kind is OutcomeKind.OK and not write.outcome.done:
        # A delete of a missing key, or a compare-and-set whose expected value did not match.
        return "nothing to do"
    return str(write.outcome.kind)


def _kept(write: RequestRecord, read: RequestRecord) -> bool | None:
    if read.outcome.kind is not OutcomeKind.OK:
        return None
    return read.outcome.value == (None if write.verb == "delete" else write.value)


def kill_grid(
    scenario: Fields, delays: Sequence[str], writes: Mapping[str, Sequence[KilledWrite]]
) -> str:
    """A row for each write, a column for each delay: what became of it. Then a legend.

    `writes` are by the name of the variant.
    """
    rows = [
        [
            row,
            *(_counted(writes.get(f"{row}-{delay}", ())) for delay in delays),
            truncate(flow_style(step_at(scenario, path)), STEP_MAX),
        ]
        for row, path in writes_of(scenario).items()
    ]
    table = [["write", *delays, ""], *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]
    return "\n".join([*lines, "", *_legend([write for row in writes.values() for write in row])])


def _counted(writes: Sequence[KilledWrite]) -> str:
    counts = Counter(map(str, writes))
    return ", ".join(
        f"{count}x {text}" if len(writes) > 1 else text for text, count in counts.items()
    )


def _legend(writes: Sequence[KilledWrite]) -> Iterator[str]:
    yield (
        "ok, refused, unknown: the reply to the client; "
        "kept: the key showed the write after the restart"
    )
    if any(write.in_flight is False for write in writes):
        yield "(after): answered before the signal was sent: a kill after the write"
    if any(write.in_flight is None for write in writes):
        yield "(not killed): the proof of the run states why"
