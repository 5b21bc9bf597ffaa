"""The parts of a test: which scenarios apply to a program, with the files of their runs.

Writes a cluster and a copy of each scenario into the folder of the test; starts nothing. A copy
runs on that cluster, and demands only the checks without which nothing was tested: all checks are
applied to every run, and judge what the program guarantees.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from kvsim.config.cluster import Cluster
from kvsim.config.cluster_loader import load_cluster
from kvsim.config.lint import lint, reasons_to_skip
from kvsim.config.program import Program, Role
from kvsim.config.scenario import Scenario, fault_kinds_of
from kvsim.config.scenario_loader import load_scenarios
from kvsim.config.scenario_writer import text_of, with_values
from kvsim.config.yaml_nodes import Fields, Items, Scalar, double_quoted
from kvsim.errors import FileProblems
from kvsim.run_directory import make_folder
from kvsim.runner.registry import REGISTRY
from kvsim.suite.subjects import entry_of, position_of

# Without these, a run with faults or loads has tested nothing.
DEMANDED = ("faults_have_evidence", "load_exercised")
NODES = 3
# How long followers may be late, where the program replicates.
LAG = "{follower: must, within: 10s}"
DIRECT, PROXIED, NETNS = "direct", "proxied", "netns"


class Part(Struct, frozen=True):
    """One scenario of the test. `file` is its copy; `skipped` says why it is not run."""

    name: str
    subject: str
    seconds: float
    file: Path | None = None
    skipped: str = ""


class Suite(Struct):
    """Makes the parts for one program. `options` are values of its options."""

    program: Program
    reference: str
    folder: Path
    options: Mapping[str, str] = field(default_factory=dict)
    _clusters: dict[tuple[str, int], Cluster] = field(default_factory=dict)

    def parts(self, scenarios: Sequence[Path]) -> list[Part]:
        """All parts, in the order in which they are to be run; those that do not apply are last.

        Raises FileProblems for mistakes in the program's description, UsageError when the folder
        cannot be made.
        """
        make_folder(self.folder / "scenarios")
        self.cluster(DIRECT, self.size)
        found = [part for path in scenarios for part in self._parts_of(path)]
        return sorted(found, key=lambda part: (bool(part.skipped), position_of(part.name)))

    @property
    def size(self) -> int:
        """A store without roles is one node."""
        words = self.program.capabilities
        return NODES if words & {"roles", "elects", "replicates", "forwards"} else 1

    def cluster(self, links: str, size: int) -> Cluster:
        """The cluster of the test with these links, whose file is written when it is first used."""
        if (links, size) not in self._clusters:
            path = self.folder / f"cluster-{links}-{size}.yaml"
            path.write_text(self._cluster_text(links, size), encoding="utf-8")
            self._clusters[links, size] = load_cluster(path, REGISTRY)
        return self._clusters[links, size]

    def _cluster_text(self, links: str, size: int) -> str:
        program = self.program
        lines = [
            f"cluster: test-{links}",
            f"program: {double_quoted(self.reference)}",
            f"links: {links}",
        ]
        if self.options:
            pairs = (f"{name}: {double_quoted(value)}" for name, value in self.options.items())
            lines.append(f"options: {{{', '.join(pairs)}}}")
        if "replicates" in program.capabilities:
            lines.append(f"lag: {LAG}")
        lines.append("nodes:")
        for number in range(1, size + 1):
            role = Role.LEADER if number == 1 else Role.FOLLOWER
            written = "" if "elects" in program.capabilities else f"role: {role}"
            lines.append(f"  n{number}: {{{written}}}")
        return "\n".join(lines) + "\n"

    def _parts_of(self, path: Path) -> Iterator[Part]:
        for scenario in load_scenarios(path, REGISTRY):
            entry = entry_of(scenario.name)
            part = Part(scenario.name, entry.subject, entry.seconds)
            links = self._links(scenario)
            size = scenario.overrides.nodes or self.size
            why = self._reason_to_skip(scenario, links, size)
            if why:
                yield replace(part, skipped=why)
            else:
                yield replace(part, file=self._write(scenario, links))

    def _links(self, scenario: Scenario) -> str:
        if not any(kind.breaks_links for kind in fault_kinds_of(scenario, PROXIED)):
            return DIRECT
        # Nodes that speak to each other on other ports than the clients' cannot be proxied.
        return NETNS if self.program.ports else PROXIED

    def _reason_to_skip(self, scenario: Scenario, links: str, size: int) -> str:
        if links == NETNS and os.geteuid() != 0:
            return "its nodes need network namespaces, which only root can make"
        cluster = replace(self.cluster(links, max(size, 1)), program_replaced=True)
        reasons = reasons_to_skip(scenario, cluster)
        if not reasons:
            reasons = [problem.message for problem in lint(scenario, cluster)]
        return "; ".join(reasons)

    def _write(self, scenario: Scenario, links: str) -> Path:
        """The copy of one scenario, or of one cell of its matrix."""
        if scenario.tree is None:
            raise ValueError(f"scenario {scenario.name} was not read from a file")
        tree = with_values(
            scenario.tree, cluster=f"../cluster-{links}-{self.size}.yaml", needs="", program=""
        )
        demanded = [name for name in DEMANDED if name in scenario.checks]
        path = self.folder / "scenarios" / f"{scenario.folder}.yaml"
        path.write_text(text_of(_with_checks(tree, demanded)), encoding="utf-8")
        try:
            load_scenarios(path, REGISTRY)
        except FileProblems as error:
            raise AssertionError(f"{path}: {error}") from error
        return path


def _with_checks(tree: Fields, names: Sequence[str]) -> Fields:
    others = tuple(entry for entry in tree.entries if entry[0].text != "checks")
    if not names:
        return Fields(tree.location, others)
    items = Items(tree.location, tuple(Scalar(tree.location, name) for name in names))
    return Fields(tree.location, (*others, (Scalar(tree.location, "checks"), items)))
