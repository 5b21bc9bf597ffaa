"""Judge a recorded run again, offline, and find whatever was edited since: the proof, the history, a log."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from kvsim.config.variables import draw
from kvsim.errors import UsageError
from kvsim.evidence.digests import differences, digests
from kvsim.evidence.proof import Proof, judge
from kvsim.evidence.proof_text import render
from kvsim.history.record import Record
from kvsim.rundir import RunDir, write_whole


def write_proof(run: RunDir) -> Proof:
    """Judge a run that is over and write proof.json and proof.txt into it."""
    record = Record.load(run)
    proof = judge(record)
    whole = {**proof.to_json(), "kvsim": record.meta["kvsim"], "files": digests(run)}
    write_whole(run.proof_json, json.dumps(whole, indent=1) + "\n")
    write_whole(run.proof_text, render(proof, record))
    return proof


def verify(run: RunDir) -> tuple[Proof, list[str]]:
    """The proof as judged again, and one line for everything that does not hold; empty when the written proof stands."""
    stated = _stated(run)
    problems = differences(run, stated.get("files", {}))
    record = Record.load(run)
    proof = judge(record)
    problems += _compare(run, stated, proof.to_json())
    problems += _compare_text(run, render(proof, record))
    problems += _quotes(run, record)
    problems += _draws(run, record.meta)
    return proof, problems


def _stated(run: RunDir) -> Mapping[str, Any]:
    try:
        stated = json.loads(run.proof_json.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{run.proof_json}: cannot be read as a proof: {error}") from error
    if not isinstance(stated, dict) or not isinstance(stated.get("files"), dict):
        raise UsageError(f"{run.proof_json}: is no proof of kvsim")
    return stated


def _compare(run: RunDir, stated: Mapping[str, Any], judged: Mapping[str, Any]) -> list[str]:
    plain = json.loads(json.dumps(judged))
    return [
        f"{run.proof_json}: `{name}` is not what the recorded run gives{_short(stated.get(name), plain[name])}"
        for name in plain
        if stated.get(name) != plain[name]
    ]


def _short(stated: object, judged: object) -> str:
    return f": it says {stated}, judged again it is {judged}" if isinstance(judged, str | int) else ""


def _compare_text(run: RunDir, text: str) -> list[str]:
    try:
        written = run.proof_text.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [f"{run.proof_text}: cannot be read: {error}"]
    pairs = zip([*written.splitlines(), ""], [*text.splitlines(), ""], strict=False)
    place = next((n for n, (one, other) in enumerate(pairs, 1) if one != other), None)
    return [f"{run.proof_text}:{place or 1}: is not what the recorded run gives"] if written != text else []


def _quotes(run: RunDir, record: Record) -> list[str]:
    """The log lines that made nodes ready must stand in the logs."""
    return [
        f"{run.log(event['node'], event['incarnation'])}: the line that made the node ready is not in it"
        for event in record.of_kind("ready")
        if "log" in event["gates"]
        and event["gates"]["log"]["text"] not in record.logs[event["node"], event["incarnation"]]
    ]


def _draws(run: RunDir, meta: Mapping[str, Any]) -> list[str]:
    """The variables must be what the seed gives: a history with made-up keys does not fit its seed."""
    drawn = draw(meta["vars"], meta["seed"])
    wrong = [name for name, value in meta["variables"].items() if drawn.get(name) != value]
    return [f"{run.meta}: the variable {name} is not what seed {meta['seed']} gives" for name in wrong]
