"""From what a `kvsim run --json` left (exit status, output, proof) to a Result. Starts nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kvsim.errors import Exit
from kvsim.rundir import RunDir
from kvsim.trials.trial import Ending, Result

VERDICTS = {Exit.PASS, Exit.FAIL, Exit.UNKNOWN, Exit.INVALID}
GOOD = {"pass", "skipped"}
WHY_MAX = 2000
OWN_WORDS = [  # what differs from run to run without being another failure
    (re.compile(r"\b[kvw]-[0-9a-f]{6,}\b"), "…"),
    (re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}:\d+\b"), "ADDRESS"),
    (re.compile(r"\b0x[0-9a-f]+\b|\b[0-9a-f]{12,}\b"), "…"),
    (re.compile(r"\b\d+(?:\.\d+)?(?= ?(?:ms|s)\b)"), "#"),
    (re.compile(r"\b\d{4,}\b"), "#"),
]


def result_of(status: int | None, output: str, errors: str, took_s: float) -> Result:
    """The result of a trial that ended by itself with exit `status` (None: by a signal)."""
    proof = _last_json(output)
    if proof is None or status not in VERDICTS:
        return _without_proof(status, errors, took_s)
    place, why = first_deviation(proof)
    steps = [step["result"] for step in proof["steps"]]
    broken = [check for check in proof["checks"] if check["verdict"] not in {"pass", "not exercised"}]
    return Result(
        ending=Ending(proof["verdict"]),
        took_s=took_s,
        exit=status,
        place=place,
        what=without_own_words(why),
        why=why[:WHY_MAX],
        run=proof["run_directory"],
        digest=_digest(Path(proof["run_directory"])),
        again=proof["again"],
        held=steps.count("pass"),
        asked=len(steps) + len(broken),
        checks={check["name"]: check["verdict"] for check in proof["checks"]},
        limits=_limits(proof.get("time_limits")),
    )


def proof_of(result: Result) -> dict[str, Any] | None:
    """The proof.json of a trial's run directory; None when the trial left none."""
    if not result.run:
        return None
    try:
        return json.loads(RunDir(Path(result.run)).proof_json.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def first_deviation(proof: Mapping[str, Any]) -> tuple[str, str]:
    """(place, message) where a run first went wrong: its first step that did not pass, else its first check; empty for a pass."""
    if proof["verdict"] == "pass":
        return "", ""
    for step in proof["steps"]:
        if step["result"] not in GOOD:
            words = " ".join(filter(None, (step["verb"], step["at"] and f"at {step['at']}")))
            return f"step {step['id']} ({words})", step["why"] or "the run ended inside this step"
    for check in proof["checks"]:
        if check["findings"] and check["verdict"] != "pass":
            return f"check {check['name']}", check["findings"][0]["message"]
    return "the run", proof["ended"]


def without_own_words(message: str) -> str:
    """The first line of a message, without keys, ports and times that are drawn anew for every run."""
    line = (message.splitlines() or [""])[0]
    for pattern, stand_in in OWN_WORDS:
        line = pattern.sub(stand_in, line)
    return line[:300]


def _limits(told: Mapping[str, Any] | None) -> dict[str, Any]:
    """How far kvsim's own time limits were stretched, and the limit of which the greatest share was used while nothing was broken."""
    if not told:
        return {}
    whole = (one for one in told["used"] if not one["broken"])
    return {"how": told["how"], "own": told["own"], "closest": next(whole, None)}


def _last_json(output: str) -> dict[str, Any] | None:
    lines = output.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else None
    except ValueError:
        return None
    return found if isinstance(found, dict) and "run_directory" in found else None


def _without_proof(status: int | None, errors: str, took_s: float) -> Result:
    skipped = next((line for line in errors.splitlines() if line.startswith("skipped ")), "")
    if skipped and status == Exit.INVALID:
        return Result(Ending.SKIPPED, took_s, status, "the scenario", skipped.partition(": ")[2], skipped)
    last = (errors.strip().splitlines() or ["it said nothing"])[-1]
    how = "ended by a signal" if status is None else f"exit status {status}"
    return Result(
        Ending.ERROR, took_s, status, "kvsim itself", f"{how}: {without_own_words(last)}", errors[-WHY_MAX:]
    )


def _digest(run: Path) -> str:
    """The SHA-256 of the history, as the run's own proof.json states it."""
    try:
        files = json.loads(RunDir(run).proof_json.read_text(encoding="utf-8"))["files"]
        return files[RunDir(run).journal.name]["sha256"]
    except (OSError, ValueError, KeyError):
        return ""
