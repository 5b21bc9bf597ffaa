"""What one run says of the tester: a planted bug was caught or missed, the correct store passed or was wronged. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from kvsim.checks.verdict import Verdict
from kvsim.selftest.table import Bug
from kvsim.trials.trial import Result as Ran

SILENT = {str(Verdict.PASS), "not exercised"}
Proof = Mapping[str, Any] | None  # proof.json as it stands in the run directory; None when there is none


class Result(StrEnum):
    CAUGHT = "caught"
    MISSED = "missed"
    PASSED = "passed"
    FALSE_ALARM = "false alarm"
    NO_PROOF = "no proof"  # the run itself came to nothing


GOOD = {Result.CAUGHT, Result.PASSED}


@dataclass(frozen=True)
class Row:
    """One run. `named` is the check that must catch the bug with what it answered; `others` what other checks had to say."""

    name: str
    says: str
    scenario: str
    result: Result
    named: str = ""
    others: tuple[str, ...] = ()
    why: str = ""
    again: str = ""
    run_directory: str = ""
    took_s: float = 0.0
    good: int = 0  # of how many seeds it was caught, or passed
    runs: int = 1


def combined(rows: Sequence[Row], enough: float) -> Row:
    """The same run with several seeds as one row: good when that share of them was. Tells the first that was not."""
    good = [row for row in rows if row.result in GOOD]
    bad = [row for row in rows if row.result not in GOOD]
    passes = bool(good) and len(good) >= enough * len(rows)
    told = bad[0] if bad else good[0]
    result = good[0].result if passes else told.result
    return replace(
        told, result=result, good=len(good), runs=len(rows), took_s=sum(row.took_s for row in rows)
    )


def judge_bug(bug: Bug, ran: Ran, proof: Proof) -> Row:
    """Caught means: the named check, and not just any, gave the verdict that the table states, and said what it states."""
    about = {"name": bug.name, "says": bug.says, "scenario": bug.scenario.stem, "took_s": ran.took_s}
    if proof is None:
        return Row(**about, result=Result.NO_PROOF, named=bug.check, why=_why_no_proof(ran))
    verdicts = {check["name"]: check["verdict"] for check in proof["checks"]}
    found = verdicts.get(bug.check, "not exercised")
    why = _why_missed(bug, found, _findings(proof, bug.check))
    others = tuple(
        f"{name} {verdict}"
        for name, verdict in verdicts.items()
        if verdict not in SILENT and name != bug.check
    )
    return Row(
        **about,
        result=Result.MISSED if why else Result.CAUGHT,
        named=f"{bug.check} {found}",
        others=others,
        why=why,
        **_where(ran, proof),
    )


def _why_missed(bug: Bug, found: str, findings: list[str]) -> str:
    """Empty when it was caught."""
    if found != bug.verdict:
        return f"{bug.check} had to say {bug.verdict} and said {found}"
    if bug.finding and not any(re.search(bug.finding, finding) for finding in findings):
        return f"{bug.check} said {found}, but not for {bug.finding!r}: {'; '.join(findings)}"
    return ""


def _findings(proof: Mapping[str, Any], name: str) -> list[str]:
    """What one check found, `step: message` each."""
    checks = [check for check in proof["checks"] if check["name"] == name]
    return [
        f"{finding.get('step', '')}: {finding['message']}"
        for check in checks
        for finding in check["findings"]
    ]


def judge_correct(scenario: str, ran: Ran, proof: Proof) -> Row:
    """Whatever a check has to say against the correct store is a false alarm."""
    about = {"name": scenario, "says": "", "scenario": scenario, "took_s": ran.took_s}
    if proof is None:
        return Row(**about, result=Result.NO_PROOF, why=_why_no_proof(ran))
    findings = [
        f"{check['name']} {check['verdict']}: {finding['message']}"
        for check in proof["checks"]
        for finding in check["findings"]
    ]
    passed = proof["verdict"] == Verdict.PASS
    why = "" if passed else "; ".join(findings) or f"the verdict is {proof['verdict']}: {proof['ended']}"
    return Row(
        **about,
        result=Result.PASSED if passed else Result.FALSE_ALARM,
        others=tuple(f"{c['name']} {c['verdict']}" for c in proof["checks"] if c["verdict"] not in SILENT),
        why=why,
        **_where(ran, proof),
    )


def _why_no_proof(ran: Ran) -> str:
    return f"the run left no proof: {ran.what or ran.ending}"


def _where(ran: Ran, proof: Mapping[str, Any]) -> dict[str, str]:
    return {"again": proof["again"], "run_directory": ran.run}
