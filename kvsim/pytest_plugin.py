"""The pytest plugin: scenario files as tests, and fixtures that start clusters. See docs/pytest.md.

pytest imports this file in every session of an environment that has kvsim, so it imports nothing
heavy before it is needed. A YAML file is a scenario only when it has the key `scenario:` and is
named on the command line or is in a folder `scenarios`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kvsim.api.cluster import ClusterFactory, LiveCluster
    from kvsim.api.session import Session
    from kvsim.config.scenario import Scenario
    from kvsim.proof.proof import Proof
    from kvsim.run_directory import RunDirectory
    from kvsim.runner.run import FinishedRun

SUFFIXES = {".yaml", ".yml"}
FILE_BYTES_MAX = 4 * 1024 * 1024
# Keys at the top level that only a scenario of kvsim has together.
KEYS = tuple(re.compile(rb"^%s[ \t]*:" % key, re.MULTILINE) for key in (b"scenario", b"steps"))
FAILED = pytest.StashKey[bool]()
# The clusters of the fixtures, to be closed.
CLUSTERS = pytest.StashKey[contextlib.ExitStack]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options `--kvsim-…`, and the ini option `kvsim_cluster`."""
    group = parser.getgroup("kvsim", "replicated stores, driven as real processes")
    group.addoption(
        "--kvsim-program",
        metavar="PROGRAM",
        help="run every cluster with this program: a folder in nodes/, or a node.yaml",
    )
    group.addoption(
        "--kvsim-seed",
        type=_seed,
        metavar="N",
        help="draw keys, values and targets from this seed (default: a new one for each run)",
    )
    group.addoption(
        "--kvsim-out",
        metavar="DIR",
        help="put run directories in DIR (default: pytest's temporary folder)",
    )
    group.addoption(
        "--kvsim-time-limits",
        metavar="HOW",
        type=_time_limits,
        help="calibrated (default), as-written, or a factor such as x3: see kvsim run --help",
    )
    parser.addini(
        "kvsim_cluster",
        "the cluster file of the fixtures, from the root folder",
        default="cluster.yaml",
    )
    parser.addini(
        "kvsim_scenarios",
        "names of folders whose scenario files are tests (default: scenarios)",
        type="args",
        default=["scenarios"],
    )


def _seed(word: str) -> int:
    from kvsim.argument_types import SEED

    return SEED(word)


def _time_limits(word: str) -> str:
    from kvsim.timeouts import parse_time_limits

    try:
        return parse_time_limits(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _time_limits_of(config: pytest.Config) -> str:
    from kvsim.timeouts import CALIBRATED

    return str(config.getoption("kvsim_time_limits") or CALIBRATED)


# --- scenario files --------------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A scenario file that is named on the command line, or in a folder of `kvsim_scenarios`."""
    if file_path.suffix not in SUFFIXES or not (
        _is_named(file_path, parent) or _is_in_folder(file_path, parent)
    ):
        return None
    if not _is_scenario(file_path):
        return None
    collector: pytest.Collector = ScenarioFile.from_parent(parent, path=file_path)
    return collector


def _is_in_folder(path: Path, parent: pytest.Collector) -> bool:
    root = parent.config.rootpath
    folders = (path.relative_to(root) if path.is_relative_to(root) else path).parts[:-1]
    return not set(folders).isdisjoint(parent.config.getini("kvsim_scenarios"))


def _is_named(path: Path, parent: pytest.Collector) -> bool:
    given = (Path(str(argument).partition("::")[0]) for argument in parent.config.args)
    folder = parent.config.invocation_params.dir
    return any((folder / argument).resolve() == path for argument in given)


def _is_scenario(path: Path) -> bool:
    """Whether it has the keys of a scenario. Other tools have YAML in folders of that name too."""
    from kvsim.user_files import UnreadableFile, read_user_file

    try:
        data = read_user_file(path, FILE_BYTES_MAX)
    except UnreadableFile:
        return False
    return all(key.search(data) for key in KEYS)


class ScenarioFile(pytest.File):
    """A scenario file: one test, or one for each cell of its matrix."""

    def collect(self) -> Iterator[pytest.Item]:
        """One item for each scenario. Raises CollectError with all mistakes of the file."""
        from kvsim.api.loading import load_scenarios
        from kvsim.errors import FileProblems

        try:
            scenarios = load_scenarios(self.path)
        except FileProblems as error:
            raise self.CollectError(str(error)) from None
        for scenario in scenarios:
            yield ScenarioItem.from_parent(self, name=scenario.label, scenario=scenario)


class ScenarioItem(pytest.Item):
    """One run of one scenario. Its failure is reported at the line of the failing step."""

    def __init__(self, *, scenario: Scenario, **more: Any) -> None:
        super().__init__(**more)
        self.scenario = scenario

    def runtest(self) -> None:
        """Run the scenario. Raises ScenarioFailed, FileProblems, KeyboardInterrupt."""
        from kvsim.api.loading import load_cluster_of, reason_to_skip
        from kvsim.history.run_record import INTERRUPTED
        from kvsim.report.write import write_reports, write_reports_in_subprocess
        from kvsim.runner.job import RunOptions
        from kvsim.runner.run import run_scenario

        cluster = load_cluster_of(self.scenario, self.config.getoption("kvsim_program"))
        reason = reason_to_skip(self.scenario, cluster)
        if reason:
            pytest.skip(reason)

        def on_crash(run: RunDirectory) -> None:
            timeline = write_reports_in_subprocess(run) or run.timeline.as_uri()
            self.add_report_section("call", "kvsim timeline", f"the run crashed: {timeline}")

        options = RunOptions(
            seed=self.config.getoption("kvsim_seed"),
            out=_out(self.config),
            time_limits=_time_limits_of(self.config),
            on_crash=on_crash,
        )
        finished = run_scenario(self.scenario, cluster, options, lambda *_: None)
        write_reports(finished.run, finished.record, finished.proof)
        _attach(self, finished.run, finished.proof)
        if finished.proof.ended == INTERRUPTED:
            raise KeyboardInterrupt
        if finished.proof.verdict != "pass":
            raise ScenarioFailed(finished)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The findings and the report of the failing step; for a mistake of the user, one line."""
        from kvsim.errors import KvsimError

        if isinstance(excinfo.value, ScenarioFailed):
            from kvsim.api.pytest_report import failure_of

            return failure_of(excinfo.value.finished.run, excinfo.value.finished.proof, self.path)
        if isinstance(excinfo.value, KvsimError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        """The scenario file."""
        return self.path, 0, self.name


class ScenarioFailed(Exception):
    """A run that did not pass."""

    def __init__(self, finished: FinishedRun) -> None:
        super().__init__(f"{finished.proof.scenario}: {finished.proof.verdict}")
        self.finished = finished


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """On GitHub, annotations on the lines of the scenarios that did not pass."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    for report in terminalreporter.stats.get("failed", ()):
        scenario = terminalreporter.config.rootpath / report.fspath
        proof = dict(report.user_properties).get("kvsim_proof")
        if proof and scenario.suffix in SUFFIXES:
            from kvsim.api.pytest_report import annotations_of

            for line in annotations_of(Path(proof).parent, scenario):
                terminalreporter.write_line(line)


# --- fixtures --------------------------------------------------------------------------------


@pytest.fixture
def cluster_factory(request: pytest.FixtureRequest) -> Iterator[ClusterFactory]:
    """Start clusters for a test: `cluster_factory(cluster="cluster.yaml", program=None)`.

    Each cluster has its own ports. After the test it is stopped, its run is judged, and its
    timeline is written. With `judge` (default True), a check that fails makes the test an error,
    even when the test itself passes. `preload=True` loads kvsim's library into the nodes, which
    faults of disks and clocks need. All other keywords are options of the program, as
    `kvsim run -o NAME=VALUE` sets them.
    """
    with contextlib.ExitStack() as stack:
        request.node.stash[CLUSTERS] = stack

        def start(
            cluster: str | Path | None = None,
            *,
            program: str | None = None,
            judge: bool = True,
            preload: bool = False,
            **options: str | int | float,
        ) -> LiveCluster:
            return _open(request, stack, cluster, program, judge, preload, options)

        yield start


@pytest.fixture
def kv_cluster(cluster_factory: ClusterFactory) -> LiveCluster:
    """A running cluster, of the file that the ini option `kvsim_cluster` names."""
    return cluster_factory()


def _open(
    request: pytest.FixtureRequest,
    stack: contextlib.ExitStack,
    cluster: str | Path | None,
    program: str | None,
    judge: bool,
    preload: bool,
    options: Mapping[str, str | int | float],
) -> LiveCluster:
    from kvsim.api.session import SessionOptions, open_session

    config, item = request.config, request.node
    session_options = SessionOptions(
        cluster=config.rootpath / (cluster or config.getini("kvsim_cluster")),
        name=re.sub(r"[^A-Za-z0-9_-]+", "-", item.name).strip("-")[:80],
        file=item.path,
        out=_out(config),
        program=program or config.getoption("kvsim_program"),
        options={name: str(value) for name, value in options.items()},
        seed=config.getoption("kvsim_seed"),
        time_limits=_time_limits_of(config),
        preload=preload,
        repeat_command=shlex.join(["pytest", item.nodeid]),
    )
    session = stack.enter_context(_judged(item, judge, open_session(session_options)))
    stack.callback(_record_failure, item, session)
    return session.cluster


@contextlib.contextmanager
def _judged(
    item: pytest.Item, judge: bool, opened: contextlib.AbstractContextManager[Session]
) -> Iterator[Session]:
    with opened as session:
        yield session
    proof = session.proof
    if proof is None:
        return
    _attach(item, session.run, proof)
    if judge and proof.verdict == "fail" and not item.stash.get(FAILED, False):
        from kvsim.api.pytest_report import findings_of

        findings = findings_of(session.run, proof)
        pytest.fail(f"the test passed, but the checks of the run failed: {findings}", pytrace=False)


def _record_failure(item: pytest.Item, session: Session) -> None:
    if item.stash.get(FAILED, False):
        session.ended = "the test failed"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Close the clusters of a failed test before its report is made, so that it shows the proof.

    No wrapper: those of today do not exist in pluggy 1.0.0, which Debian 12 has.
    """
    if (
        call.when == "call"
        and call.excinfo
        and not call.excinfo.errisinstance(pytest.skip.Exception)
    ):
        item.stash[FAILED] = True
        if CLUSTERS in item.stash:
            item.stash[CLUSTERS].close()


def _out(config: pytest.Config) -> Path:
    given = config.getoption("kvsim_out")
    if given:
        return Path(given).resolve()
    # The folder that `tmp_path` is in, also for items without fixtures.
    factory: pytest.TempPathFactory = vars(config)["_tmp_path_factory"]
    return factory.getbasetemp() / "kvsim"


def _attach(item: pytest.Item, run: RunDirectory, proof: Proof) -> None:
    """Add the run's folder (for JUnit) and its proof (for readers of the report) to the test."""
    item.user_properties += [
        ("kvsim_verdict", str(proof.verdict)),
        ("kvsim_seed", str(proof.seed)),
        ("kvsim_proof", str(run.proof_text)),
        ("kvsim_timeline", str(run.timeline)),
    ]
    when = "call" if isinstance(item, ScenarioItem) or item.stash.get(FAILED, False) else "teardown"
    item.add_report_section(when, "kvsim proof", run.proof_text.read_text(encoding="utf-8"))
    item.add_report_section(when, "kvsim timeline", run.timeline.as_uri())
