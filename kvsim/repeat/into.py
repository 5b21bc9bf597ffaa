"""A scenario killed into each of its writes, after several delays: a grid of runs. Makes variants and reads records; starts nothing itself.

A variant is the scenario up to one write, during which a node is killed and after which it is started again, and a look at the key. What
comes behind the write is left out: it expects what the write was to bring about, and that is in doubt.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from kvsim.config.scenario_text import with_values
from kvsim.config.yaml_tree import Fields, Items, Scalar, flow, quoted_whole, read_text
from kvsim.history.outcome import Kind, Reason
from kvsim.history.record import WRITES, Operation, Record
from kvsim.repeat.smaller import Path, step_at, up_to
from kvsim.repeat.sweep import Cell, rows_of
from kvsim.trials.trial import Ending, Result

ANY_ANSWER = ("ok", "not_found", "mismatch", "refused", "unknown", "unreachable")
OF_TRYING = ("expect", "eventually", "always")  # fields of a write that a write in doubt cannot keep
LOOK_FOR = "10s"  # a store that elects needs a leader first
TEXT_MAX = 60


@dataclass(frozen=True)
class Hit:
    """What became of the write that a run was killed into.

    `outcome`: ok, refused, unknown or unreachable. `kept`: the key showed it afterwards (None: nobody could be asked). `into`: it had not
    been answered when the signal was sent, `struck_ms` after it had been.
    """

    ending: Ending
    outcome: str = ""
    kept: bool | None = None
    into: bool | None = None
    struck_ms: float | None = None

    def __str__(self) -> str:
        verdict = "" if self.ending is Ending.PASS else self.ending.upper()
        kept = {True: "kept", False: "not kept", None: ""}[self.kept]
        after = {True: "", False: "(after)", None: "(not killed)"}[self.into]
        return " ".join(filter(None, (verdict, self.outcome, kept, after)))

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ending": str(self.ending)}


def writes_of(scenario: Fields) -> Mapping[str, Path]:
    """Number → path of each write that stands in a group or outside all groups."""
    return {row: path for row, path in rows_of(scenario).items() if _verb(scenario, path) in WRITES}


def _verb(scenario: Fields, path: Path) -> str:
    step = step_at(scenario, path)
    return step.entries[0][0].text if isinstance(step, Fields) and step.entries else ""


def cells_into(scenario: Fields, delays: Sequence[str], at: str) -> list[Cell]:
    """Every variant: a row a write, a column a delay; `at` is whom the signal hits."""
    return [
        Cell(row, f"into-{delay}", _killed(scenario, path, delay, at))
        for row, path in writes_of(scenario).items()
        for delay in delays
    ]


def _killed(scenario: Fields, path: Path, delay: str, at: str) -> Fields:
    verb, fields = step_at(scenario, path).entries[0]
    key = fields.get("key") if isinstance(fields, Fields) else None
    kept = tuple(entry for entry in fields.entries if entry[0].text not in OF_TRYING)
    expected = Items(fields.mark, tuple(Scalar(fields.mark, word) for word in ANY_ANSWER))
    any_answer = Fields(fields.mark, ((Scalar(fields.mark, "any_of"), expected),))
    write = Fields(fields.mark, (*kept, (Scalar(fields.mark, "expect"), any_answer)))
    text = (
        f"- fault: {{kill: {{at: {quoted_whole(at)}, into: {delay}}}, do: [{{{verb.text}: {flow(write)}}}]}}\n"
        f"- get: {{at: leader, key: {flow(key)}, expect: served, eventually: {LOOK_FOR}}}\n"
    )
    return with_values(up_to(scenario, path, read_text(text, "", [])), checks="")


def hit_of(result: Result, record: Record | None) -> Hit:
    """What one run of a variant showed. `record` None: it left none."""
    if record is None or not record.faults:
        return Hit(result.ending)
    fault = record.faults[-1]
    receipt = next((one["evidence"] for one in fault.receipts if "into" in one["evidence"]), {})
    asked = [one for one in record.operations if one.purpose == "step"]
    write = next((one for one in asked if one.step.startswith(f"{fault.id}.")), None)
    look = asked[-1] if asked and asked[-1].verb == "get" else None
    return Hit(
        ending=result.ending,
        outcome=_outcome(write) if write else "not sent",
        kept=_kept(write, look) if write and look else None,
        into=receipt.get("into"),
        struck_ms=receipt.get("struck_ms"),
    )


def _outcome(write: Operation) -> str:
    if write.outcome.reason is Reason.UNREACHABLE:
        return "unreachable"
    if write.outcome.kind is Kind.OK and not write.outcome.done:
        return "nothing to do"  # a delete of what was not there, a compare-and-set that did not meet what it expected
    return str(write.outcome.kind)


def _kept(write: Operation, look: Operation) -> bool | None:
    if look.outcome.kind is not Kind.OK:
        return None
    return look.outcome.value == (None if write.verb == "delete" else write.value)


def grid_into(scenario: Fields, delays: Sequence[str], hits: Mapping[str, Sequence[Hit]]) -> str:
    """A row a write, a column a delay, in words what became of it. `hits`: by a cell's name."""
    rows = [
        [
            row,
            *(_told(hits.get(f"{row}-into-{delay}", ())) for delay in delays),
            _short(flow(step_at(scenario, path))),
        ]
        for row, path in writes_of(scenario).items()
    ]
    heads = ["write", *delays, ""]
    widths = [max(len(row[place]) for row in [heads, *rows]) for place in range(len(heads))]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in [heads, *rows]
    ]
    return "\n".join([*lines, "", *_legend([hit for found in hits.values() for hit in found])])


def _told(hits: Sequence[Hit]) -> str:
    counts = Counter(map(str, hits))
    return ", ".join(f"{count}x {words}" if len(hits) > 1 else words for words, count in counts.items())


def _short(text: str) -> str:
    return text if len(text) <= TEXT_MAX else f"{text[: TEXT_MAX - 1]}…"


def _legend(hits: Sequence[Hit]) -> Iterator[str]:
    yield "ok, refused, unknown: what its client was told; kept: the key showed it once the node was back"
    if any(hit.into is False for hit in hits):
        yield "(after): it had been answered before the signal came, so this was a kill after the write, not into it"
    if any(hit.into is None for hit in hits):
        yield "(not killed): the run says why, in its proof"
