"""Write the proof of a run, and verify it later, offline: find everything that was edited since.

A proof states the size and SHA-256 of every file that it rests on. The journal, whose lines are a
chain, states those of all other files, too. Edits are named by file, whatever they break.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kvsim.config.variables import draw
from kvsim.errors import KvsimError, UsageError
from kvsim.file_formats import other_format
from kvsim.folders import find_paths
from kvsim.history.journal import Journal, broken_links, read_events
from kvsim.history.run_record import RunRecord
from kvsim.logs.log_file import LogFile
from kvsim.proof.impossible import impossible
from kvsim.proof.proof import Proof, judge
from kvsim.proof.proof_text import render
from kvsim.run_directory import (
    JOURNAL,
    META,
    PROGRAMS,
    RunDirectory,
    open_file,
    read_file,
    write_atomic,
)
from kvsim.text import escape_surrogates, plural

# The format of proof.json.
PROOF_FORMAT = 1

ALWAYS = (META, JOURNAL, "scenario.yaml", "cluster.yaml")

# The size in bytes and the SHA-256 of a file.
Digest = Mapping[str, object]


def end_journal(journal: Journal, run: RunDirectory, how: str) -> None:
    """Write the last two events of a run: the digests of all other files, and how it ended."""
    journal.write("digests", files=_digests(run, but=JOURNAL))
    journal.write("end", how=how)


def write_proof(run: RunDirectory, record: RunRecord) -> Proof:
    """Judge a run that is over, and write proof.json and proof.txt into it."""
    proof = judge(record)
    write_atomic(run.proof_json, _proof_json(proof, record, _digests(run)))
    write_atomic(run.proof_text, render(proof, record))
    return proof


def _stated_by(proof: Proof, record: RunRecord) -> dict[str, Any]:
    """Everything that proof.json states, but the digests."""
    return {"format": PROOF_FORMAT, **proof.to_json(), "kvsim": record.meta["kvsim"]}


def _proof_json(proof: Proof, record: RunRecord, digests: Mapping[str, Digest]) -> str:
    return json.dumps({**_stated_by(proof, record), "files": digests}, indent=1) + "\n"


def verify(run: RunDirectory) -> tuple[Proof | None, list[str]]:
    """The proof as judged again, and one line for each problem; none: the proof is valid.

    Files that were edited are named first, whatever they break afterwards. The proof is None when
    what is recorded cannot be judged. Raises UsageError when the run or its proof has another
    format, or proof.json is not a proof.
    """
    text, stated, problems = _read_proof(run)
    problems += _differences(run, stated["files"])
    try:
        problems += _broken_chain(run)
        problems += _redone_digests(run, stated["files"])
        record = RunRecord.load(run)
        proof = judge(record)
        edited = _compare_json(run, stated, _stated_by(proof, record))
        if not (edited or problems) and text != _proof_json(proof, record, stated["files"]):
            edited.append(f"{run.proof_json}: is not written as kvsim writes it")
        problems += edited
        problems += _compare_text(run, render(proof, record))
        problems += _missing_ready_lines(run, record)
        problems += _wrong_variables(run, record.meta)
        problems += impossible(run, record)
    except Exception as error:
        # Edited files can hold anything, and digests can be redone.
        reason = str(error) if isinstance(error, KvsimError) else f"{type(error).__name__}: {error}"
        return None, [*problems, f"{run.path}: cannot be judged again: {reason}"]
    return proof, problems


def _digests(run: RunDirectory, but: str = "") -> dict[str, Digest]:
    """Relative path → digest, for every file that the judgement reads or quotes, but one."""
    names = sorted(_required_files(run) - {but}, key=lambda name: (name not in ALWAYS, name))
    return {name: _digest(run.path / name) for name in names}


def _differences(run: RunDirectory, stated: Mapping[str, Digest]) -> list[str]:
    """One line for each file that differs from the proof: changed, missing, or not mentioned."""
    problems = []
    for name, digest in stated.items():
        path = run.path / name
        if not path.is_file():
            problems.append(f"{path}: is missing; the proof rests on it")
        elif _digest(path) != digest:
            problems.append(f"{path}: was changed after the run ({_change(_digest(path), digest)})")
    problems += [
        f"{run.path / name}: is not mentioned in the proof"
        for name in sorted(_required_files(run) - set(stated))
    ]
    return problems


def _broken_chain(run: RunDirectory) -> list[str]:
    """One line for the first event that does not follow from those before it."""
    broken = broken_links(run.journal)
    if not broken:
        return []
    more = f", and {plural(len(broken) - 1, 'line')} after it" if len(broken) > 1 else ""
    return [
        f"{run.journal}:{broken[0]}: was edited, or a line before it was added, removed or moved"
        f"{more}"
    ]


def _redone_digests(run: RunDirectory, stated: Mapping[str, Digest]) -> list[str]:
    """One line for each file whose digest in the proof is not the one that the journal states."""
    events = read_events(run.journal)
    if not events or events[-1].kind != "end":
        return [f"{run.journal}: lacks the end of the run, after which a proof is written"]
    then = next((event.get("files") for event in events if event.kind == "digests"), None)
    if not isinstance(then, dict):
        return [f"{run.journal}: lacks the digests of the files at the end of the run"]
    return [
        f"{run.path / name}: was changed after the run, and its digest in the proof was redone; "
        "the journal states another one"
        for name in sorted(then.keys() | stated.keys() - {JOURNAL})
        if then.get(name) != stated.get(name)
    ]


def _required_files(run: RunDirectory) -> set[str]:
    """The files of this run that a proof has to mention."""
    logs = {str(path.relative_to(run.path)) for path in find_paths(run.path, "nodes/*/*.log")}
    loads = {str(path.relative_to(run.path)) for path in run.loads}
    optional = (PROGRAMS, run.replay.name, run.crash_report.name)
    others = {name for name in (*ALWAYS, *optional) if (run.path / name).is_file()}
    return logs | loads | others


def _change(current: Digest, stated: Digest) -> str:
    if not isinstance(stated, dict) or set(stated) != set(current):
        return "the proof states no digest of it"
    if current["bytes"] != stated.get("bytes"):
        return f"it has {current['bytes']} bytes, the proof states {stated.get('bytes')}"
    return "same size, other content"


def _digest(path: Path) -> Digest:
    with open_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        return {"bytes": size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}


def _read_proof(run: RunDirectory) -> tuple[str, Mapping[str, Any], list[str]]:
    """The text of proof.json, its content, and a line for each key that it has twice.

    Raises UsageError when it is not a proof, or has another format.
    """
    twice: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        twice.extend(name for name in set(names) if names.count(name) > 1)
        return dict(pairs)

    try:
        text = read_file(run.proof_json).decode("utf-8")
        stated = json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{run.proof_json}: cannot be read as a proof: {error}") from error
    if not isinstance(stated, dict) or not isinstance(stated.get("files"), dict):
        raise UsageError(f"{run.proof_json}: is not a proof of kvsim")
    if stated.get("format") != PROOF_FORMAT:
        raise UsageError(other_format(f"{run.proof_json}: a proof", stated, PROOF_FORMAT))
    return text, stated, [f"{run.proof_json}: has the key `{name}` twice" for name in sorted(twice)]


def _compare_json(
    run: RunDirectory, stated: Mapping[str, Any], judged: Mapping[str, Any]
) -> list[str]:
    plain = json.loads(json.dumps(judged))
    unknown = [name for name in stated if name not in plain and name != "files"]
    problems = [f"{run.proof_json}: has the key `{name}`, which no proof has" for name in unknown]
    return problems + [
        f"{run.proof_json}: `{name}` is not what the recorded run gives"
        f"{_values(stated.get(name), plain[name])}"
        for name in plain
        if stated.get(name) != plain[name]
    ]


def _values(stated: object, judged: object) -> str:
    """Both values, where they are short."""
    if not isinstance(judged, str | int):
        return ""
    return f": it states {stated}, judged again it is {judged}"


def _compare_text(run: RunDirectory, text: str) -> list[str]:
    try:
        written = read_file(run.proof_text).decode("utf-8")
    except UsageError as error:
        return [str(error)]
    except UnicodeDecodeError as error:
        return [f"{run.proof_text}: is not UTF-8: {error}"]
    text = escape_surrogates(text)
    if written == text:
        return []
    pairs = zip([*written.splitlines(), ""], [*text.splitlines(), ""], strict=False)
    line = next((number for number, (old, new) in enumerate(pairs, 1) if old != new), 1)
    return [f"{run.proof_text}:{line}: is not what the recorded run gives"]


def _missing_ready_lines(run: RunDirectory, record: RunRecord) -> list[str]:
    """The log lines that made nodes ready must be in the logs, where they were."""
    problems = []
    for event in record.of_kind("ready", "cluster_ready"):
        line = event["probes"].get("log")
        # Of a file in the data directory, there is at most a copy.
        if line is None or "file" in line:
            continue
        path = run.log(event["node"], event["incarnation"])
        found = LogFile(path).line_at(line["offset"])
        if found is None or line["text"] not in found.text or line["line"] != found.number:
            problems.append(
                f"{run.journal}: {path} does not contain the line that made the node ready"
            )
    return problems


def _wrong_variables(run: RunDirectory, meta: Mapping[str, Any]) -> list[str]:
    """The variables must be what the seed gives: invented keys do not fit the seed."""
    drawn = draw(meta["vars"], meta["seed"])
    wrong = [name for name, value in meta["variables"].items() if drawn.get(name) != value]
    return [
        f"{run.meta}: the variable {name} is not what seed {meta['seed']} gives" for name in wrong
    ]
