"""The pytest plugin: scenario files as tests, and fixtures that start clusters for tests in Python. See docs/pytest.md.

pytest imports this file in every session of an environment that has kvsim, so it imports nothing heavy until it is needed.
A YAML file is a scenario only when it has the key `scenario:` and is named on the command line or stands in a folder `scenarios`.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kvsim.live.cluster import LiveCluster
    from kvsim.live.opening import Opened
    from kvsim.scenario.run import Done

SUFFIXES = {".yaml", ".yml"}
FOLDER = "scenarios"
HEAD_BYTES = 65536
IS_SCENARIO = re.compile(rb"^scenario[ \t]*:", re.MULTILINE)
FAILED = pytest.StashKey[bool]()
CLUSTERS = pytest.StashKey[contextlib.ExitStack]()  # those of the fixtures, to be closed


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("kvsim", "replicated stores, driven as real processes")
    group.addoption(
        "--kvsim-program",
        metavar="PROGRAM",
        help="run every cluster with this program: a folder in nodes/, or a node.yaml",
    )
    group.addoption(
        "--kvsim-seed",
        type=int,
        metavar="N",
        help="draw keys, values and targets from this seed (default: a new one each)",
    )
    group.addoption(
        "--kvsim-out", metavar="DIR", help="put run directories there (default: pytest's temporary folder)"
    )
    group.addoption(
        "--kvsim-time-limits",
        metavar="HOW",
        type=_time_limits,
        help="calibrated (default), as-written, or a factor such as x3: see kvsim run --help",
    )
    parser.addini(
        "kvsim_cluster", "the cluster file of the fixtures, from the root folder", default="cluster.yaml"
    )


def _time_limits(word: str) -> str:
    from kvsim.limits import checked

    try:
        return checked(word)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _limits(config: pytest.Config) -> str:
    from kvsim.limits import CALIBRATED

    return config.getoption("kvsim_time_limits") or CALIBRATED


# --- scenario files ---------------------------------------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """A scenario file, when it was asked for by name or by its folder."""
    if file_path.suffix not in SUFFIXES or not (_named(file_path, parent) or _in_folder(file_path, parent)):
        return None
    return ScenarioFile.from_parent(parent, path=file_path) if _is_scenario(file_path) else None


def _in_folder(path: Path, parent: pytest.Collector) -> bool:
    root = parent.config.rootpath
    return FOLDER in (path.relative_to(root) if path.is_relative_to(root) else path).parts[:-1]


def _named(path: Path, parent: pytest.Collector) -> bool:
    given = (Path(str(argument).partition("::")[0]) for argument in parent.config.args)
    return any((parent.config.invocation_params.dir / one).resolve() == path for one in given)


def _is_scenario(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return IS_SCENARIO.search(file.read(HEAD_BYTES)) is not None
    except OSError:
        return False


class ScenarioFile(pytest.File):
    """One scenario file: one test, or one for each cell of its matrix."""

    def collect(self) -> Iterator[pytest.Item]:
        from kvsim.errors import FileProblems
        from kvsim.live.reading import read_scenarios

        try:
            scenarios = read_scenarios(self.path)
        except FileProblems as error:
            raise self.CollectError(str(error)) from None
        for scenario in scenarios:
            yield ScenarioItem.from_parent(self, name=scenario.label, scenario=scenario)


class ScenarioItem(pytest.Item):
    """One run of one scenario. Its failure stands on the failing step's line."""

    def __init__(self, *, scenario: Any, **more: Any) -> None:
        super().__init__(**more)
        self.scenario = scenario

    def runtest(self) -> None:
        from kvsim.history.record import INTERRUPTED
        from kvsim.live.reading import read_cluster, unfit
        from kvsim.report.write import write_reports, write_reports_apart
        from kvsim.scenario.job import Options
        from kvsim.scenario.run import run_scenario

        cluster = read_cluster(self.scenario, self.config.getoption("kvsim_program"))
        missing = unfit(self.scenario, cluster)
        if missing:
            pytest.skip(missing)

        def broken_off(run: Any) -> None:
            film = write_reports_apart(run) or run.film.as_uri()
            self.add_report_section("call", "kvsim film", f"the run broke off: {film}")

        options = Options(
            seed=self.config.getoption("kvsim_seed"),
            out=_out(self.config, self.name),
            time_limits=_limits(self.config),
            broken_off=broken_off,
        )
        done = run_scenario(self.scenario, cluster, options, lambda *_: None)
        write_reports(done.run, done.proof)
        _attach(self, done.run, done.proof)
        if done.proof.ended == INTERRUPTED:
            raise KeyboardInterrupt
        if done.proof.verdict != "pass":
            raise ScenarioFailed(done)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from kvsim.errors import KvsimError

        if isinstance(excinfo.value, ScenarioFailed):
            from kvsim.live.failure import failure_of

            return failure_of(excinfo.value.done.run, excinfo.value.done.proof, self.path)
        if isinstance(excinfo.value, KvsimError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, self.name


class ScenarioFailed(Exception):
    """A run that did not pass."""

    def __init__(self, done: Done) -> None:
        super().__init__(f"{done.proof.scenario}: {done.proof.verdict}")
        self.done = done


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """On GitHub, annotations on the lines of the scenarios that did not pass."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    for report in terminalreporter.stats.get("failed", ()):
        scenario = terminalreporter.config.rootpath / report.fspath
        proof = dict(report.user_properties).get("kvsim_proof")
        if proof and scenario.suffix in SUFFIXES:
            from kvsim.live.failure import annotations_of

            for line in annotations_of(Path(proof).parent, scenario):
                terminalreporter.write_line(line)


# --- fixtures ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def cluster_factory(request: pytest.FixtureRequest) -> Iterator[Callable[..., LiveCluster]]:
    """Start clusters for a test: `cluster_factory(cluster="cluster.yaml", program=None, judge=True, preload=False, **options)`.

    Each runs on ports of its own and is stopped, judged and filmed after the test. With `judge`, a check that fails makes the test
    an error, even when the test itself had nothing to complain of. `preload` is for clusters whose disks and clocks are going to be
    broken: kvsim's library is loaded into their nodes. `options` are what `kvsim run -o NAME=VALUE` sets.
    """
    with contextlib.ExitStack() as stack:
        request.node.stash[CLUSTERS] = stack
        yield lambda cluster=None, *, program=None, judge=True, preload=False, **options: _open(
            request, stack, cluster, program, judge, preload, options
        )


@pytest.fixture
def kv_cluster(cluster_factory: Callable[..., LiveCluster]) -> LiveCluster:
    """A running cluster, as the ini option `kvsim_cluster` says (default: cluster.yaml)."""
    return cluster_factory()


def _open(
    request: pytest.FixtureRequest,
    stack: contextlib.ExitStack,
    cluster: str | Path | None,
    program: str | None,
    judge: bool,
    preload: bool,
    options: dict[str, object],
) -> LiveCluster:
    from kvsim.live.opening import Wanted, opened

    config, item = request.config, request.node
    wanted = Wanted(
        cluster=config.rootpath / (cluster or config.getini("kvsim_cluster")),
        name=re.sub(r"[^A-Za-z0-9_-]+", "-", item.name).strip("-")[:80],
        file=item.path,
        out=_out(config, item.name),
        program=program or config.getoption("kvsim_program"),
        options={name: str(value) for name, value in options.items()},
        seed=config.getoption("kvsim_seed"),
        time_limits=_limits(config),
        preload=preload,
        again=shlex.join(["pytest", item.nodeid]),
    )
    made = stack.enter_context(_judged(item, judge, opened(wanted)))
    stack.callback(_say_how_it_ended, item, made)
    return made.cluster


@contextlib.contextmanager
def _judged(
    item: pytest.Item, judge: bool, cluster: contextlib.AbstractContextManager[Opened]
) -> Iterator[Opened]:
    with cluster as made:
        yield made
    _attach(item, made.run, made.proof)
    if judge and made.proof.verdict == "fail" and not item.stash.get(FAILED, False):
        from kvsim.live.failure import findings_of

        pytest.fail(
            f"the test passed, but what the nodes did was judged: {findings_of(made.run, made.proof)}",
            pytrace=False,
        )


def _say_how_it_ended(item: pytest.Item, made: Opened) -> None:
    if item.stash.get(FAILED, False):
        made.ended = "the test failed"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Close the clusters of a test that failed before its report is made, so that proof and film are in it."""
    if call.when == "call" and call.excinfo and not call.excinfo.errisinstance(pytest.skip.Exception):
        item.stash[FAILED] = True
        if CLUSTERS in item.stash:
            item.stash[CLUSTERS].close()
    return (yield)


def _out(config: pytest.Config, name: str) -> Path:
    given = config.getoption("kvsim_out")
    if given:
        return Path(given).resolve()
    factory = (
        config._tmp_path_factory
    )  # the same folder that `tmp_path` is in, also for items without fixtures
    return factory.getbasetemp() / "kvsim"


def _attach(item: pytest.Item, run: Any, proof: Any) -> None:
    """Where the run is recorded, for JUnit; the proof, for everybody who reads the failure."""
    item.user_properties += [
        ("kvsim_verdict", str(proof.verdict)),
        ("kvsim_seed", str(proof.seed)),
        ("kvsim_proof", str(run.proof_text)),
        ("kvsim_film", str(run.film)),
    ]
    when = "call" if isinstance(item, ScenarioItem) or item.stash.get(FAILED, False) else "teardown"
    item.add_report_section(when, "kvsim proof", run.proof_text.read_text(encoding="utf-8"))
    item.add_report_section(when, "kvsim film", run.film.as_uri())
