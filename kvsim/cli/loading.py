"""Read the user's files for the commands, with all verbs, checks and protocols of kvsim."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from kvsim import shipped
from kvsim.cli.arguments import options_of
from kvsim.config import cluster_loader, program_loader, scenario_loader
from kvsim.config.cluster import Cluster
from kvsim.config.lint import lint
from kvsim.config.matrix import choose
from kvsim.config.program import Program
from kvsim.config.scenario import Scenario
from kvsim.config.yaml_nodes import SourceLocation, display_path, read_file
from kvsim.errors import FileProblems, Problem, UsageError
from kvsim.launcher.background import Background, read_choices
from kvsim.runner.registry import REGISTRY
from kvsim.text import did_you_mean

T = TypeVar("T")

# Kind of file → the keys that identify it. The first kind that matches wins, since a scenario may
# also have `nodes` or `program`.
FILE_KINDS = {
    "bugs": ("bugs", "correct"),
    "plan": ("plan",),
    "scenario": ("steps", "scenario"),
    "cluster": ("nodes", "cluster"),
    "program": ("start", "program"),
}
KIND_NAMES = {
    "bugs": "a table of planted bugs",
    "plan": "a grading plan",
    "scenario": "a scenario",
    "cluster": "a cluster",
    "program": "a program",
}


def file_kind(path: Path) -> str:
    """The kind of a file, a key of FILE_KINDS.

    Raises FileProblems when the file cannot be read, or is of no kind.
    """
    problems: list[Problem] = []
    tree = read_file(path, problems)
    if tree is not None:
        keys = {key.text for key, _ in tree.entries}
        for kind, identifying in FILE_KINDS.items():
            if keys & set(identifying):
                return kind
        known = ", ".join(
            f"`{identifying[0]}` ({KIND_NAMES[kind]})" for kind, identifying in FILE_KINDS.items()
        )
        problems.append(
            tree.location.problem(f"not a file that kvsim reads: it has none of {known}")
        )
    raise FileProblems(problems)


def load_cluster(
    path: Path, program: str | None = None, options: Mapping[str, str] | None = None
) -> Cluster:
    """A cluster file with its programs. Raises FileProblems with all mistakes."""
    return cluster_loader.load_cluster(path, REGISTRY, program, options)


def load_scenarios(path: Path, cells: Sequence[str] = ()) -> tuple[Scenario, ...]:
    """A scenario file: one scenario, or each cell of its matrix (of those that `cells` choose).

    `path` may be the name of a scenario that kvsim is shipped with. Raises FileProblems with all
    mistakes, UsageError.
    """
    return scenario_loader.load_scenarios(scenario_file(path), REGISTRY, cells)


def load_scenario(path: Path, cells: Sequence[str] = ()) -> Scenario:
    """A scenario file that must be one scenario.

    Raises UsageError where it is several, else as `load_scenarios`.
    """
    return scenario_loader.load_scenario(scenario_file(path), REGISTRY, cells)


def scenario_file(path: Path) -> Path:
    """The file of a scenario: a path, or the name of one that kvsim is shipped with.

    Raises UsageError for a name that is neither.
    """
    return _shipped_or_path(path, "scenario", shipped.SCENARIOS)


def cluster_file(path: Path) -> Path:
    """The same for a cluster."""
    return _shipped_or_path(path, "cluster", shipped.CLUSTERS)


def _shipped_or_path(path: Path, kind: str, folder: Path) -> Path:
    if path.exists():
        return path
    known = shipped.shipped(folder)
    name = str(path)
    if name in known:
        return known[name]
    if path.suffix:
        stem = path.with_suffix("").as_posix().removeprefix(f"{folder.name}/")
        if stem in known and not path.is_absolute():
            raise UsageError(
                f"there is no file {path} here; `{stem}`, without an ending, is a {kind} that "
                "kvsim brings along"
            )
        return path
    raise UsageError(
        f"there is no file {path}, and kvsim brings along no {kind} of that name"
        f"{did_you_mean(name, known)}"
    )


def load_cluster_of(
    scenario: Scenario,
    path: Path | None = None,
    program: str | None = None,
    options: Mapping[str, str] | None = None,
) -> Cluster:
    """The cluster a scenario runs on: its own or `path`, with what the scenario sets instead.

    Raises FileProblems with all mistakes.
    """
    return cluster_loader.load_cluster_of(
        scenario, REGISTRY, path and cluster_file(path), program, options
    )


def load_cluster_with_bug(
    scenario: Scenario,
    path: Path | None,
    program: Path,
    options: Mapping[str, str],
    locations: Mapping[str, SourceLocation],
) -> Cluster:
    """The same with a planted bug; `locations` is where its options are written.

    Raises FileProblems with all mistakes.
    """
    overrides = scenario.overrides
    return cluster_loader.load_cluster(
        path or scenario.cluster,
        REGISTRY,
        str(program),
        {**overrides.options, **options},
        nodes=overrides.nodes,
        locations={**overrides.locations, **locations},
    )


class ScenarioCase(NamedTuple):
    """A scenario (a cell) with the cluster that it runs on. `arguments` are those of the command,
    with the cluster of this case."""

    scenario: Scenario
    cluster: Cluster
    arguments: argparse.Namespace


def load_cases(
    paths: Iterable[Path], arguments: argparse.Namespace, *, attached: bool = False
) -> list[ScenarioCase]:
    """Every scenario (every cell) of the files, with the cluster that the arguments choose.

    Everything is read and checked before anything is started. A scenario by name that suits every
    store runs on the cluster.yaml of this folder. Raises FileProblems with all mistakes of all
    files.
    """
    problems: list[Problem] = []
    cases: list[ScenarioCase] = []
    options = _collect(lambda: options_of(arguments), problems) or {}
    for name in paths:
        chosen = argparse.Namespace(**vars(arguments))
        path = _collect(lambda: scenario_file(name), problems)  # noqa: B023
        if path is None:
            continue
        if chosen.cluster is None:
            chosen.cluster = _collect(lambda: _cluster_here(name), problems)  # noqa: B023
        cluster = _collect(lambda: chosen.cluster and cluster_file(chosen.cluster), problems)  # noqa: B023
        found = read_cases(path, problems, cluster, chosen.program, options, attached=attached)
        of_cells = _collect(lambda: _choose(found, chosen.cell, path), problems)  # noqa: B023
        cases += (ScenarioCase(*case, chosen) for case in of_cells or ())
    if problems:
        raise FileProblems(list(dict.fromkeys(problems)))
    return cases


def read_cases(
    path: Path,
    problems: list[Problem],
    cluster_path: Path | None = None,
    program: str | None = None,
    options: Mapping[str, str] | None = None,
    *,
    attached: bool = False,
) -> list[tuple[Scenario, Cluster]]:
    """Every scenario (every cell) of a file with its cluster; adds all mistakes to `problems`.

    A mistake in one file does not hide those in another.
    """
    scenarios, found = scenario_loader.read_scenarios(path, REGISTRY)
    problems += found
    cases = []
    for scenario in scenarios:
        cluster, more = cluster_loader.read_cluster_of(
            scenario, REGISTRY, cluster_path, program, options
        )
        problems += more
        if cluster is not None:
            partial = bool(found or more)
            problems += lint(scenario, cluster, partial=partial, attached=attached)
            cases.append((scenario, cluster))
    return cases


def _choose(
    cases: Sequence[tuple[Scenario, Cluster]], cells: Sequence[str], path: Path
) -> list[tuple[Scenario, Cluster]]:
    """The cases of these cells. Raises UsageError."""
    if not cases:
        return []
    every_cell = [dict(scenario.cell) for scenario, _ in cases]
    chosen = choose(every_cell, cells, display_path(path))
    return [case for case in cases if case[0].cell in chosen]


def _collect(read: Callable[[], T], problems: list[Problem]) -> T | None:
    """What `read` returns; None when it raises, and its mistake is a problem beside the others."""
    try:
        return read()
    except FileProblems as error:
        problems += error.problems
    except UsageError as error:
        where, _, message = str(error).partition(": ")
        problems.append(Problem(where, 0, 0, message) if message else Problem("kvsim", 0, 0, where))
    return None


def _cluster_here(path: Path) -> Path | None:
    """The cluster.yaml of this folder, where a scenario by name is to run on it; otherwise None."""
    here = Path("cluster.yaml")
    if scenario_file(path) == path or not here.is_file() or shipped.is_shipped(here):
        return None
    return here if load_scenarios(path)[0].cluster == shipped.GENERAL_CLUSTER else None


def load_program(path: Path, problems: list[Problem]) -> Program | None:
    """A node.yaml by itself, without a cluster."""
    return program_loader.load_program(str(path.resolve()), path.parent, problems, REGISTRY)


def load_started(path: Path) -> Background:
    """The cluster that is up, as it was started, whatever its file says now.

    Where none is up, the cluster of the file. Raises FileProblems, UsageError.
    """
    return Background.as_started(path) or load_running(path)


def load_running(path: Path) -> Background:
    """The cluster that is up, with the program and options it was started with."""
    program, options = read_choices(path)
    return Background(load_cluster(path, program, options), program, options)
