"""Random histories, written in the formats of other tools, get the verdict that Porcupine gave."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from kvsim.checks.consistency.linearizable import linearizable
from kvsim.checks.verdict import Verdict
from kvsim.history import formats

DATA = Path(__file__).parents[1] / "data/random-3000.jsonl.gz"
# Every so many histories.
EVERY = 15
F = {"get": ":read", "put": ":write", "append": ":append", "delete": ":delete", "cas": ":cas"}
TYPES = {"ok": ":ok", "refused": ":fail", "unknown": ":info"}
PORCUPINE_OPS = {"get": 0, "put": 1, "append": 2, "delete": "delete"}
# Keys of other types, which the reader has to keep apart.
KEYS = ('"0"', "0", ":0", '"ключ 鍵"', "1.5")


@dataclass(frozen=True)
class Row:
    """One operation of the data. `returned` None: it never returned."""

    call: int
    returned: int | None
    client: int
    key: str
    kind: str
    value: str | None
    expected: str | None
    outcome: str


Rows = list[Row]


def literal(value: str | None) -> str:
    return "nil" if value is None else json.dumps(value)


def key_literals(rows: Rows) -> dict[str, str]:
    keys = sorted({row.key for row in rows})
    return {key: KEYS[at] if at < len(KEYS) else json.dumps(key) for at, key in enumerate(keys)}


def events(rows: Rows) -> Iterator[tuple[int, bool, int, Row]]:
    """(time, is it a completion?, number, row). At one time the calls come first: they overlap."""
    ends = [(row.call, False, number) for number, row in enumerate(rows)]
    ends += [(row.returned, True, n) for n, row in enumerate(rows) if row.returned is not None]
    for time, done, number in sorted(ends):
        yield time, done, number, rows[number]


def event_value(row: Row, done: bool) -> str:
    if row.kind == "cas":
        return f"[{literal(row.expected)} {literal(row.value)}]"
    shown = row.kind in ("put", "append") or (row.kind == "get" and done and row.outcome == "ok")
    return literal(row.value) if shown else "nil"


def edn_events(rows: Rows, *, times: bool, key_field: bool) -> Iterator[str]:
    keys = key_literals(rows)
    for time, done, number, row in events(rows):
        value, key = event_value(row, done), keys[row.key]
        fields = [f":process {number}", f":type {TYPES[row.outcome] if done else ':invoke'}"]
        fields += [f":f {F[row.kind]}"]
        fields += [f":key {key}", f":value {value}"] if key_field else [f":value [{key} {value}]"]
        fields += [f":time {time}"] if times else []
        yield f"{{{', '.join(fields)}}}"
        if number % 4 == 0:
            at = f", :time {time}" if times else ""
            yield f'{{:process :nemesis, :type :info, :f :kill, :value {{"n1" :killed}}{at}}}'


def edn_lines(rows: Rows) -> str:
    return "\n".join(edn_events(rows, times=True, key_field=False)) + "\n"


def edn_vector_without_times(rows: Rows) -> str:
    return f"[{' '.join(edn_events(rows, times=False, key_field=True))}]"


def jepsen_log(rows: Rows) -> str:
    keys = key_literals(rows)
    lines = ["2026-01-01 12:00:00,123{GMT}\tINFO\t[main] jepsen.core: Démarrage: {:a 1}"]
    for number, (_, done, process, row) in enumerate(events(rows)):
        prefix = "2026-01-01 12:00:00,123{GMT}\tINFO\t[jepsen worker 0] jepsen.util: "
        kind = TYPES[row.outcome] if done else ":invoke"
        value = f"[{keys[row.key]} {event_value(row, done)}]"
        error = "\t[:timed-out 1.0]" if kind in (":fail", ":info") else ""
        event = "\t".join([str(process), kind, F[row.kind], value])
        lines.append(("" if number % 2 else prefix) + event + error)
        if number % 5 == 0:
            lines.append(':nemesis\t:info\t:start-partition\t{"n1" #{"n2" "n3"}}')
    return "\n".join(lines) + "\n"


def porcupine_operations(rows: Rows) -> Iterator[str]:
    for number, row in enumerate(rows):
        # A refused operation is in no history of Porcupine.
        if row.outcome == "refused":
            continue
        value = "" if row.kind in ("get", "delete") else row.value
        request = {"op": PORCUPINE_OPS[row.kind], "key": row.key, "value": value}
        shown = (row.value or "") if row.kind == "get" else ""
        answered = row.outcome == "ok"
        yield json.dumps(
            {
                "ClientId": number,
                "Input": request,
                "Call": row.call,
                "Output": {"value": shown} if answered else None,
                "Return": row.returned if answered else None,
            }
        )


def porcupine_lines(rows: Rows) -> str:
    return "".join(f"{line}\n" for line in porcupine_operations(rows))


def porcupine_array(rows: Rows) -> str:
    operations = ",\n".join(porcupine_operations(rows))
    return f"[\n{operations}\n]"


JEPSEN_KINDS = frozenset(F)
# The model has no initial value, and no compare-and-set.
PORCUPINE_KINDS = frozenset({"get", "put", "delete"})
WRITERS = {
    edn_lines: ("jepsen-edn", JEPSEN_KINDS),
    edn_vector_without_times: ("jepsen-edn", JEPSEN_KINDS),
    jepsen_log: ("jepsen-log", JEPSEN_KINDS),
    porcupine_lines: ("porcupine-jsonl", PORCUPINE_KINDS),
    porcupine_array: ("porcupine-jsonl", PORCUPINE_KINDS),
}


@pytest.mark.parametrize("write", WRITERS, ids=lambda write: write.__name__)
def test_the_verdict_of_porcupine(write, tmp_path: Path) -> None:
    name, kinds = WRITERS[write]
    path, judged = tmp_path / "history", {True: 0, False: 0}
    with gzip.open(DATA, "rt") as lines:
        for number, line in enumerate(lines):
            entry = json.loads(line)
            rows = [Row(*row) for row in entry["ops"]]
            fits = {row.kind for row in rows} <= kinds and any(row.outcome == "ok" for row in rows)
            if number % EVERY or not fits or (kinds is PORCUPINE_KINDS and entry["initial"]):
                continue
            path.write_text(write(rows), encoding="utf-8")
            found, history = formats.read_guessed(path)
            assert found == name
            if entry["initial"] is not None:
                initial = dict.fromkeys(history.operations.keys.strings, entry["initial"])
                history = replace(history, initial=initial)
            expected = entry["porcupine"] == "Ok"
            # Without an answer there is nothing to judge.
            verdict = linearizable(history).verdict or Verdict.PASS
            assert verdict is (Verdict.PASS if expected else Verdict.FAIL), f"history {number}"
            judged[expected] += 1
    assert min(judged.values()) > 3, judged
