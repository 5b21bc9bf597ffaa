"""Read cluster.yaml, and the programs it names, into a `Cluster`; all mistakes of all files at once.

What may stand in it is `cluster_words.py`'s table; here stands what a table cannot say: ports twice, leaders, options that no program has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from kvsim.config.cluster import Cluster, Lag, NodeSpec
from kvsim.config.cluster_words import CLUSTER
from kvsim.config.names import known_names
from kvsim.config.program import Program, Role
from kvsim.config.program_file import Around, Setting, check_template, find_program, load_program
from kvsim.config.resized import resized
from kvsim.config.scenario import Scenario
from kvsim.config.shape import Reading, Values
from kvsim.config.spelling import did_you_mean
from kvsim.config.target import RESERVED
from kvsim.config.yaml_tree import Fields, Mark, Scalar, Tree, read_file, walk
from kvsim.errors import FileProblems, Problem


def load_cluster(
    path: Path | str,
    program: str | None = None,
    options: Mapping[str, str] | None = None,
    settings_of: Callable[[str], Mapping[str, Setting] | None] = lambda _: None,
    *,
    nodes: int | None = None,
    places: Mapping[str, Mark] | None = None,
) -> Cluster:
    """Read a cluster file.

    `program` replaces every node's program; it is looked for from the current folder, then from the file's, and options
    and ports of the file that it does not have are left aside. `options` win over the file's. `settings_of` gives the
    settings of a protocol by its name (None: not checked here). `nodes`: with so many nodes. `places`: where `program`, `nodes` and
    options were written, if not on the command line.
    Raises FileProblems with everything that is wrong in the file, in its programs, and in the two arguments.
    """
    path = Path(path)
    problems: list[Problem] = []
    tree = read_file(path, problems)
    if tree is not None and nodes is not None:
        tree = resized(tree, nodes)
    reader = _Reader(path, problems, program, options or {}, settings_of, places or {})
    cluster = None if tree is None else reader.read(tree)
    if cluster is not None and nodes is not None and len(cluster.nodes) != nodes:
        message = f"nodes: {nodes}, but cluster {cluster.name} has {len(cluster.nodes)} leaders"
        problems.append(reader.at("nodes", "--nodes", message))
    if problems or cluster is None:
        raise FileProblems(problems)
    return cluster


def load_stage(
    scenario: Scenario,
    path: Path | None = None,
    program: str | None = None,
    options: Mapping[str, str] | None = None,
    settings_of: Callable[[str], Mapping[str, Setting] | None] = lambda _: None,
) -> Cluster:
    """The cluster that a scenario is played on: its file (or `path`), with what the scenario says instead, and over that the caller.

    Raises FileProblems, as `load_cluster`.
    """
    own, given = scenario.instead, options or {}
    said = {"program": program, **given}
    return load_cluster(
        path or scenario.cluster,
        program or own.program,
        {**own.options, **given},
        settings_of,
        nodes=own.nodes,
        places={name: mark for name, mark in own.places.items() if said.get(name) is None},
    )


@dataclass
class _Reader:
    """One reading of one cluster file. `programs`: those read so far, so that each is read, and complained of, once."""

    path: Path
    problems: list[Problem]
    override: str | None
    options: Mapping[str, str]
    settings_of: Callable[[str], Mapping[str, Setting] | None]
    places: Mapping[str, Mark] = field(default_factory=dict)
    programs: dict[object, Program | None] = field(default_factory=dict)

    def read(self, tree: Fields) -> Cluster | None:
        reading = Reading(self.problems)
        before = len(self.problems)
        values = CLUSTER.read(tree, reading)
        nodes: dict[str, Values] = values.get("nodes", {})
        programs = self.read_programs(values, nodes, reading)
        _check_names(values, reading)
        _check_host(values, reading)
        _check_ports(nodes, reading)
        if self.override is None:
            _check_node_ports(nodes, programs, reading)
            _check_options(values, nodes, programs, reading)
        _check_leaders(values, nodes, programs, reading)
        self.check_own_options(programs)
        _check_templates(nodes, programs, reading)
        clean = len(self.problems) == before and all(programs.get(name) for name in nodes)
        return self.build(values, nodes, programs) if clean else None

    def read_programs(
        self, values: Values, nodes: Mapping[str, Values], reading: Reading
    ) -> dict[str, Program | None]:
        shared = values.at("program") if values.get("program") is not None else None
        programs = {}
        for name, node in nodes.items():
            own = node.get("program") is not None
            programs[name] = self.program(node.at("program") if own else shared, nodes)
        if not values.wrote("program") and not self.override:
            lacking = [name for name, node in nodes.items() if not node.wrote("program")]
            if lacking or not nodes:
                reading.say(values.node, "`program` is missing: what the nodes run" + _for(lacking, nodes))
        return programs

    def program(self, reference: Tree | None, nodes: Mapping[str, Values]) -> Program | None:
        if self.override is not None:
            key = reference = self.override
            base = Path.cwd() if find_program(self.override, Path.cwd()) else self.path.parent
        elif reference is None:
            return None
        else:
            key = reference.text if isinstance(reference, Scalar) else id(reference)
            base = self.path.parent
        leader = any(node.get("role") == Role.LEADER for node in nodes.values())
        if key not in self.programs:
            self.programs[key] = load_program(
                reference, base, self.problems, Around(nodes, leader, self.settings_of)
            )
        return self.programs[key]

    def check_own_options(self, programs: Mapping[str, Program | None]) -> None:
        """The caller's options, where every program could be read."""
        everywhere = {name for program in programs.values() if program for name in program.options}
        for name in self.options if all(programs.values()) else ():
            if name not in everywhere:
                message = f"no program here has an option `{name}`{did_you_mean(name, everywhere)}"
                self.problems.append(self.at(name, "--option", message))

    def at(self, name: str, word: str, message: str) -> Problem:
        """A mistake in what was said instead of the file: where it was written, or the word on the command line."""
        mark = self.places.get(name)
        return mark.problem(message) if mark else Problem(word, 0, 0, message)

    def build(self, values: Values, nodes: Mapping[str, Values], programs: Mapping[str, Program]) -> Cluster:
        lag = values["lag"]
        return Cluster(
            name=values["cluster"],
            path=self.path.resolve(),
            nodes=tuple(
                self.node(name, place, node, programs[name], values["options"])
                for place, (name, node) in enumerate(nodes.items(), 1)
            ),
            host=values["host"],
            links=values["links"],
            lag=Lag(lag["follower"], lag["within"]) if lag else Lag(),
            options={**values["options"], **self.options},
        )

    def node(
        self, name: str, place: int, node: Values, program: Program, shared: Mapping[str, str]
    ) -> NodeSpec:
        merged = {**program.options, **shared, **node["options"], **self.options}
        return NodeSpec(
            name=name,
            role=Role(node["role"] or Role.FOLLOWER),
            program=program,
            id=place,
            port=node["port"],
            ports={key: port for key, port in node["ports"].items() if key in program.ports},
            args=node["args"],
            env=node["env"],
            options={key: value for key, value in merged.items() if key in program.options},
        )


def _for(lacking: list[str], nodes: Mapping[str, Values]) -> str:
    return "" if len(lacking) == len(nodes) else f" ({', '.join(lacking)})"


def _check_names(values: Values, reading: Reading) -> None:
    nodes = values.at("nodes")
    for key, _ in nodes.entries if values.wrote("nodes") and isinstance(nodes, Fields) else ():
        if key.text in RESERVED:
            reading.say(key, f"a node cannot be called `{key.text}`: that is a word for a target")


def _check_host(values: Values, reading: Reading) -> None:
    if values.wrote("host") and values.get("links") == "netns":
        message = "host: with `links: netns` each node has an address of its own; leave it out"
        reading.say(values.at("host"), message)


def _ports_of(nodes: Mapping[str, Values]) -> Iterator[tuple[str, int, Tree]]:
    """(where, port, its place) for every port written."""
    for name, node in nodes.items():
        if node.get("port"):
            yield f"nodes.{name}.port", node["port"], node.at("port")
        extra = node.at("ports")
        for key, port in (node.get("ports") or {}).items():
            yield f"nodes.{name}.ports.{key}", port, extra.get(key) or extra


def _check_ports(nodes: Mapping[str, Values], reading: Reading) -> None:
    seen: dict[int, str] = {}
    for where, port, tree in _ports_of(nodes):
        if port in seen:
            reading.say(tree, f"{where}: port {port} a second time (first: {seen[port]})")
        seen.setdefault(port, where)


def _check_node_ports(
    nodes: Mapping[str, Values], programs: Mapping[str, Program | None], reading: Reading
) -> None:
    for name, node in nodes.items():
        program = programs.get(name)
        for key in node.get("ports") or {} if program else ():
            if key not in program.ports:
                hint = did_you_mean(key, program.ports)
                message = f"nodes.{name}.ports: program {program.name} has no port `{key}`{hint}"
                reading.say(node.at("ports"), message)


def _check_leaders(
    values: Values, nodes: Mapping[str, Values], programs: Mapping[str, Program | None], reading: Reading
) -> None:
    """Fixed roles: every node has one, and exactly one is the leader. Programs that elect may leave roles out."""
    fixed = {name: node for name, node in nodes.items() if not _elects(programs.get(name))}
    for name, node in fixed.items():
        if not node.wrote("role") and programs.get(name):
            reading.say(node.node, f"nodes.{name}: `role` is missing: leader or follower")
    leaders = [name for name, node in nodes.items() if node.get("role") == Role.LEADER]
    for name in leaders[1:]:
        if name in fixed:
            message = f"nodes.{name}: a second leader ({leaders[0]} is one already); roles of this program are fixed"
            reading.say(nodes[name].at("role"), message)
    whole = nodes and all(node.get("role") for node in fixed.values()) and all(programs.get(n) for n in nodes)
    if whole and not leaders and len(fixed) == len(nodes):
        message = (
            "nodes: none of them is the leader, and their program does not elect one (capability `elects`)"
        )
        reading.say(values.at("nodes"), message)


def _elects(program: Program | None) -> bool:
    return program is not None and "elects" in program.capabilities


def _check_options(
    values: Values, nodes: Mapping[str, Values], programs: Mapping[str, Program | None], reading: Reading
) -> None:
    if not all(programs.get(name) for name in nodes):
        return  # a program that could not be read may well have them
    _unknown_options(values, {name for node in nodes for name in programs[node].options}, reading)
    for name, node in nodes.items():
        with reading.inside(f"nodes.{name}"):
            _unknown_options(node, programs[name].options, reading)


def _unknown_options(values: Values, known: Mapping[str, str] | set[str], reading: Reading) -> None:
    written = values.at("options")
    for key, _ in written.entries if values.wrote("options") and isinstance(written, Fields) else ():
        if key.text not in known:
            reading.say(
                key, f"options: the program has no option `{key.text}`{did_you_mean(key.text, known)}"
            )


def _check_templates(
    nodes: Mapping[str, Values], programs: Mapping[str, Program | None], reading: Reading
) -> None:
    """Templates in a node's own args and env, against its program's names."""
    for name, node in nodes.items():
        program = programs.get(name)
        if program is None or not isinstance(node.node, Fields):
            continue
        known = known_names(program.ports, program.options, nodes)
        for scalar in _own_templates(node):
            with reading.inside(f"nodes.{name}"):
                check_template(scalar, known, reading)


def _own_templates(node: Values) -> Iterator[Scalar]:
    for key in ("args", "env"):
        if node.wrote(key):
            yield from walk(node.at(key))
