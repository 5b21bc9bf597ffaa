"""JUnit XML of runs: one suite a run, one case a step and one a check. Reads proofs only."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from kvsim.checks.verdict import CheckResult, Verdict
from kvsim.evidence.proof import Proof
from kvsim.history.record import StepRecord
from kvsim.rundir import RunDir

OUTCOMES = {"fail": "failure", "unknown": "error", "invalid": "error", "": "error", "skipped": "skipped"}


def junit(runs: Sequence[tuple[RunDir, Proof]]) -> str:
    """The XML text for several runs. Unknown and invalid are errors: neither passed nor failed."""
    root = Element("testsuites", name="kvsim")
    for run, proof in runs:
        suite = SubElement(root, "testsuite", name=proof.scenario)
        SubElement(SubElement(suite, "properties"), "property", name="run_directory", value=str(run.path))
        for step in proof.steps:
            _case(suite, f"{proof.scenario}.steps", f"{step.id} {step.text}", step.result, _why(step))
        for check in proof.checks:
            result = str(check.verdict) if check.verdict else "skipped"
            _case(suite, f"{proof.scenario}.checks", check.name, result, _findings(check))
        if proof.verdict is not Verdict.PASS and not _any_bad(suite):
            _case(suite, proof.scenario, "verdict", str(proof.verdict), proof.ended)
        _count(suite)
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


def _case(suite: Element, group: str, name: str, result: str, message: str) -> None:
    case = SubElement(suite, "testcase", classname=group, name=_clean(name))
    if result in OUTCOMES:
        first = message.splitlines()[0] if message else result
        SubElement(case, OUTCOMES[result], message=_clean(first)).text = _clean(message)


def _any_bad(suite: Element) -> bool:
    return any(
        case.find("failure") is not None or case.find("error") is not None for case in suite.iter("testcase")
    )


def _count(suite: Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    for name, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(name) is not None for case in cases)))


def _why(step: StepRecord) -> str:
    return step.why or "the run ended inside this step"


def _findings(check: CheckResult) -> str:
    return "\n".join(finding.message for finding in check.findings) or "nothing in this run to judge"


def _clean(text: str) -> str:
    """XML 1.0 cannot hold most control characters, not even escaped."""
    return "".join(
        c if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff" else "�"
        for c in text
    )
