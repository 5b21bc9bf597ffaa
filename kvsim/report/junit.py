"""JUnit XML of runs: a suite for each run, a case for each step and each check. Reads proofs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError, SubElement, fromstring, indent, tostring

from kvsim.checks.verdict import CheckResult, Verdict
from kvsim.errors import UsageError
from kvsim.history.run_record import StepRecord
from kvsim.proof.proof import Proof
from kvsim.run_directory import RunDirectory, read_file

OUTCOMES = {
    "fail": "failure",
    "unknown": "error",
    "invalid": "error",
    "": "error",
    "skipped": "skipped",
}


def junit(
    runs: Sequence[tuple[RunDirectory, Proof]],
    *,
    files: Mapping[str, str] | None = None,
    skipped: Sequence[tuple[str, str]] = (),
) -> str:
    """The XML text for several runs. Unknown and invalid are errors: neither passed nor failed.

    `files`: scenario → its file. `skipped`: scenarios that were not run, each with the reason.
    """
    root = Element("testsuites", name="kvsim")
    for name, why in skipped:
        suite = SubElement(root, "testsuite", name=name)
        _case(suite, name, "verdict", "skipped", why, file=(files or {}).get(name, ""))
        _count(suite)
    for run, proof in runs:
        file = (files or {}).get(proof.scenario, "")
        suite = SubElement(root, "testsuite", name=proof.scenario)
        SubElement(
            SubElement(suite, "properties"), "property", name="run_directory", value=str(run.path)
        )
        for step in proof.steps:
            case = _case(
                suite,
                f"{proof.scenario}.steps",
                f"{step.id} {step.text}",
                step.result,
                _why(step),
                file=file,
                line=step.line,
            )
            case.set("time", f"{step.took_s:.3f}")
        for check in proof.checks:
            result = str(check.verdict) if check.verdict else "skipped"
            group = f"{proof.scenario}.checks"
            _case(suite, group, check.name, result, _findings(check), file=file)
        if proof.verdict is not Verdict.PASS and not _any_bad(suite):
            _case(suite, proof.scenario, "verdict", str(proof.verdict), proof.ended, file=file)
        _count(suite)
    return _text(root)


def edited_junit(file: Path, run: RunDirectory, proof: Proof) -> list[str]:
    """One line for each thing that a JUnit file says of a run and the run does not give.

    The file may say more, of other runs. Raises UsageError when it cannot be read.
    """
    try:
        root = fromstring(read_file(file))
    except (ParseError, ValueError, RecursionError) as error:
        raise UsageError(f"{file}: cannot be read as JUnit XML: {error}") from error
    suites = [suite for suite in root.iter("testsuite") if _directory_of(suite) == run.path.name]
    if not suites:
        return [f"{file}: has no test suite of {run.path.name}"]
    expected = fromstring(junit([(run, proof)])).find("testsuite")
    assert expected is not None, "one for each run"
    problems = [problem for suite in suites for problem in _differences(suite, expected)]
    total = Element("testsuites", root.attrib)
    total.extend(root.findall("testsuite"))
    _total(total)
    if total.attrib != root.attrib:
        problems.append("its totals are not the sums of its suites")
    return [f"{file}: {problem}" for problem in problems]


def _directory_of(suite: Element) -> str:
    """The name of a suite's run directory, which may have been moved."""
    found = suite.find("properties/property[@name='run_directory']")
    return Path(found.get("value", "")).name if found is not None else ""


def _differences(suite: Element, expected: Element) -> Iterator[str]:
    """What differs from a run's suite. Files are named from where the runs were made."""
    cases, others = suite.findall("testcase"), expected.findall("testcase")
    for case, other in zip(cases, others, strict=False):
        if _content(case) != _content(other):
            yield f"`{case.get('name', '')}` is not what the recorded run gives"
    if len(cases) != len(others):
        yield f"it has {len(cases)} test cases of {expected.get('name')}, the run {len(others)}"
    if suite.attrib != expected.attrib:
        yield f"the figures of {suite.get('name', '')} are not what the recorded run gives"


def _content(case: Element) -> object:
    attributes = {name: value for name, value in case.attrib.items() if name != "file"}
    return attributes, [(child.tag, child.attrib, child.text) for child in case]


def _text(root: Element) -> str:
    _total(root)
    indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + tostring(root, encoding="unicode") + "\n"


class JunitCase(NamedTuple):
    """One test case: its suite, its class and name, its result (a verdict or `skipped`), why."""

    suite: str
    group: str
    name: str
    result: str
    message: str


def junit_of_cases(cases: Iterable[JunitCase]) -> str:
    """The XML text of test cases, in suites by name."""
    root = Element("testsuites", name="kvsim")
    suites: dict[str, Element] = {}
    for case in cases:
        if case.suite not in suites:
            suites[case.suite] = SubElement(root, "testsuite", name=case.suite)
        suite = suites[case.suite]
        _case(suite, f"{case.suite}.{case.group}", case.name, case.result, case.message)
    for suite in suites.values():
        _count(suite)
    return _text(root)


def _case(
    suite: Element,
    group: str,
    name: str,
    result: str,
    message: str,
    *,
    file: str = "",
    line: int = 0,
) -> Element:
    case = SubElement(
        suite,
        "testcase",
        classname=without_control(group),
        name=without_control(name),
        time="0.000",
    )
    if file:
        case.set("file", without_control(file))
    if line:
        case.set("line", str(line))
    if result in OUTCOMES:
        first = message.splitlines()[0] if message else result
        SubElement(case, OUTCOMES[result], message=without_control(first)).text = without_control(
            message
        )
    return case


def _total(root: Element) -> None:
    """The sums of all suites, on the root."""
    for name in ("tests", "failures", "errors", "skipped"):
        root.set(name, str(sum(int(suite.get(name, 0)) for suite in root.findall("testsuite"))))
    times = (float(suite.get("time", 0)) for suite in root.findall("testsuite"))
    root.set("time", f"{sum(times):.3f}")


def _any_bad(suite: Element) -> bool:
    return any(
        case.find("failure") is not None or case.find("error") is not None
        for case in suite.iter("testcase")
    )


def _count(suite: Element) -> None:
    cases = suite.findall("testcase")
    suite.set("tests", str(len(cases)))
    suite.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")
    for name, attribute in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
        suite.set(attribute, str(sum(case.find(name) is not None for case in cases)))


def _why(step: StepRecord) -> str:
    return step.why or "the run ended inside this step"


def _findings(check: CheckResult) -> str:
    return (
        "\n".join(finding.message for finding in check.findings) or "nothing in this run to judge"
    )


def without_control(text: str) -> str:
    """The text for XML 1.0, which cannot contain most control characters, not even escaped."""
    return "".join(
        c
        if c in "\t\n\r" or " " <= c <= "\ud7ff" or "\ue000" <= c <= "\ufffd" or c > "\uffff"
        else "�"
        for c in text
    )
