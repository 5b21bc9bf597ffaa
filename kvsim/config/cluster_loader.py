"""Read cluster.yaml, and the programs it names, into a `Cluster`; all mistakes of all files.

`cluster_schema` describes the language; this module checks what a table cannot: repeated ports,
leaders, options that no program has. It also makes a cluster of another size: the last followers
are left out, or copies of the last follower are added.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from kvsim.config.cluster import Cluster, Lag, NodeSpec
from kvsim.config.names import known_names
from kvsim.config.program import Program, Role
from kvsim.config.program_loader import check_template, find_program, load_program
from kvsim.config.registry import Registry
from kvsim.config.scenario import Scenario
from kvsim.config.schema import Validation, Values
from kvsim.config.target import RESERVED
from kvsim.config.yaml_nodes import (
    Fields,
    Scalar,
    SourceLocation,
    Tree,
    quote,
    read_file,
    scalars_in,
)
from kvsim.errors import FileProblems, Problem
from kvsim.ip_addresses import is_loopback, parse_ip
from kvsim.text import closest, did_you_mean

# Stands for a program that could not be read.
UNREAD = Program("unread", Path(), {})


def load_cluster(
    path: Path | str,
    registry: Registry,
    program: str | None = None,
    options: Mapping[str, str] | None = None,
    *,
    nodes: int | None = None,
    locations: Mapping[str, SourceLocation] | None = None,
) -> Cluster:
    """Read a cluster file.

    `program` replaces every node's program. It is searched for from the current folder, then from
    the file's; options of the file, which are for its own program, and ports that it does not have
    are left out. Where the file gives no node a role, because its own program elects, the first is
    the leader. `options` win over the file's. `nodes`: the number of nodes. `locations`: where
    `program`, `nodes` and options are written, if not on the command line.

    Raises FileProblems with everything that is wrong in the file, in its programs, and in these
    arguments.
    """
    cluster, problems = read_cluster(
        path, registry, program, options, nodes=nodes, locations=locations
    )
    if problems or cluster is None:
        raise FileProblems(problems)
    return cluster


def read_cluster(
    path: Path | str,
    registry: Registry,
    program: str | None = None,
    options: Mapping[str, str] | None = None,
    *,
    nodes: int | None = None,
    locations: Mapping[str, SourceLocation] | None = None,
) -> tuple[Cluster | None, list[Problem]]:
    """As `load_cluster`, but returns the mistakes.

    With mistakes, the cluster has the names and roles of the nodes, where they could be read: for
    finding mistakes in a scenario, never to be run.
    """
    path = Path(path)
    problems: list[Problem] = []
    tree = read_file(path, problems)
    if tree is not None and nodes is not None:
        tree = resize(tree, nodes)
    if tree is not None and program is not None:
        tree = with_roles(tree)
    reader = _Reader(path, problems, registry, program, options or {}, locations or {})
    cluster = None if tree is None else reader.read(tree)
    if cluster is not None and nodes is not None and len(cluster.nodes) != nodes:
        message = f"nodes: {nodes}, but cluster {cluster.name} has {len(cluster.nodes)} leaders"
        problems.append(reader.problem("nodes", "--nodes", message))
    return cluster, problems


def load_cluster_of(
    scenario: Scenario,
    registry: Registry,
    path: Path | None = None,
    program: str | None = None,
    options: Mapping[str, str] | None = None,
) -> Cluster:
    """The cluster that a scenario runs on: its file (or `path`), with what the scenario sets
    instead, and over that `program` and `options`.

    Raises FileProblems, as `load_cluster`.
    """
    cluster, problems = read_cluster_of(scenario, registry, path, program, options)
    if problems or cluster is None:
        raise FileProblems(problems)
    return cluster


def read_cluster_of(
    scenario: Scenario,
    registry: Registry,
    path: Path | None = None,
    program: str | None = None,
    options: Mapping[str, str] | None = None,
) -> tuple[Cluster | None, list[Problem]]:
    """As `load_cluster_of`, but returns the mistakes, as `read_cluster`."""
    overrides, given = scenario.overrides, options or {}
    arguments = {"program": program, **given}
    return read_cluster(
        path or scenario.cluster,
        registry,
        program or overrides.program,
        {**overrides.options, **given},
        nodes=overrides.nodes,
        locations={
            name: location
            for name, location in overrides.locations.items()
            if arguments.get(name) is None
        },
    )


class _Reader(Struct):
    """Reads one cluster file. `programs` caches them, so that each is read once."""

    path: Path
    problems: list[Problem]
    registry: Registry
    override: str | None
    options: Mapping[str, str]
    locations: Mapping[str, SourceLocation]
    programs: dict[object, Program | None] = field(default_factory=dict)

    def read(self, tree: Fields) -> Cluster | None:
        validation = Validation(self.problems)
        before = len(self.problems)
        values: Values = self.registry.cluster.read(tree, validation)
        nodes: dict[str, Values] = values.get("nodes", {})
        found = self.read_programs(values, nodes, validation)
        programs = {name: program for name, program in found.items() if program is not None}
        complete = len(programs) == len(found)
        _check_names(values, validation)
        _check_host(values, validation)
        _check_ports(nodes, validation)
        if self.override is None:
            _check_node_ports(nodes, programs, validation)
            if complete:
                # A program that could not be read may have the options.
                _check_options(values, nodes, programs, validation)
            _check_no_fixed_roles(nodes, programs, validation)
        _check_leaders(values, nodes, programs, validation)
        if complete:
            self.check_given_options(programs)
        _check_templates(nodes, programs, validation)
        clean = len(self.problems) == before and complete
        return self.build(values, programs) if clean else self.outline(values, programs)

    def read_programs(
        self, values: Values, nodes: Mapping[str, Values], validation: Validation
    ) -> dict[str, Program | None]:
        shared = values.node_of("program") if values.get("program") is not None else None
        programs = {}
        for name, node in nodes.items():
            own = node.get("program") is not None
            programs[name] = self.program(node.node_of("program") if own else shared, nodes)
        if not values.is_written("program") and not self.override:
            lacking = [name for name, node in nodes.items() if not node.is_written("program")]
            if lacking or not nodes:
                validation.report(
                    values.node,
                    "`program` is missing: what the nodes run" + _names_lacking(lacking, nodes),
                )
        return programs

    def program(self, reference: Tree | None, nodes: Mapping[str, Values]) -> Program | None:
        """The program that a reference of the file names, or the one that replaces all of them."""
        if self.override is not None:
            is_here = find_program(self.override, Path.cwd()) is not None
            folder = Path.cwd() if is_here else self.path.parent
            return self.load(self.override, self.override, folder, nodes)
        if reference is None:
            return None
        key = reference.text if isinstance(reference, Scalar) else id(reference)
        return self.load(key, reference, self.path.parent, nodes)

    def load(
        self, key: object, reference: str | Tree, folder: Path, nodes: Mapping[str, Values]
    ) -> Program | None:
        if key not in self.programs:
            self.programs[key] = load_program(
                reference,
                folder,
                self.problems,
                self.registry,
                nodes=nodes,
                has_leader=any(node.get("role") == Role.LEADER for node in nodes.values()),
            )
        return self.programs[key]

    @property
    def program_replaced(self) -> bool:
        """Whether neither the cluster file nor the scenario names the program."""
        return self.override is not None and "program" not in self.locations

    def check_given_options(self, programs: Mapping[str, Program]) -> None:
        """Options that were set instead of the file's."""
        for name, value in self.options.items():
            if self.program_replaced and name in self.locations:
                # A scenario states it for its own program. Where it is none of this program, `lint`
                # tells why the scenario is skipped.
                continue
            message = option_mistake(name, value, programs.values())
            if message:
                self.problems.append(self.problem(name, "--option", message))

    def problem(self, name: str, argument: str, message: str) -> Problem:
        """A mistake in what was set instead of the file: where it is written, or the argument."""
        location = self.locations.get(name)
        return location.problem(message) if location else Problem(argument, 0, 0, message)

    def outline(self, values: Values, programs: Mapping[str, Program]) -> Cluster | None:
        """The names and roles of a cluster with mistakes."""
        nodes = values.get("nodes") if isinstance(values, Values) else None
        if not nodes:
            return None
        return Cluster(
            name=values.get("cluster") or self.path.stem,
            path=self.path.resolve(),
            nodes=tuple(
                NodeSpec(
                    name=name,
                    role=Role(node.get("role") or Role.FOLLOWER),
                    program=programs.get(name) or UNREAD,
                    id=number,
                )
                for number, (name, node) in enumerate(nodes.items(), 1)
            ),
            links=values.get("links") or "direct",
        )

    def build(self, values: Values, programs: Mapping[str, Program]) -> Cluster:
        fields = self.registry.cluster.build(values)
        shared = {} if self.program_replaced else fields["options"]
        return Cluster(
            name=fields["cluster"],
            path=self.path.resolve(),
            nodes=tuple(
                self.node(name, number, node, programs[name], shared)
                for number, (name, node) in enumerate(fields["nodes"].items(), 1)
            ),
            host=fields["host"],
            links=fields["links"],
            lag=self.lag(fields, programs.values()),
            options={**shared, **self.options},
            program_replaced=self.program_replaced,
        )

    def lag(self, fields: Mapping[str, Any], programs: Iterable[Program]) -> Lag:
        """What the file asks of its own program is asked of another one only where that one says
        the same of itself.
        """
        written: Lag = fields["lag"]
        own = [fields["program"], *(node["program"] for node in fields["nodes"].values())]
        if not (self.program_replaced and any(own)):
            return written
        replicate = {"replicates" in program.capabilities for program in programs}
        says_the_same = {"must": replicate == {True}, "never": replicate == {False}}
        if says_the_same.get(written.follower_has, True):
            return written
        return replace(written, follower_has="may")

    def node(
        self,
        name: str,
        number: int,
        fields: Mapping[str, Any],
        program: Program,
        shared: Mapping[str, str],
    ) -> NodeSpec:
        own = {} if self.program_replaced else fields["options"]
        merged = {**program.options, **shared, **own, **self.options}
        return NodeSpec(
            name=name,
            role=fields["role"] or Role.FOLLOWER,
            program=program,
            id=number,
            port=fields["port"],
            ports={key: port for key, port in fields["ports"].items() if key in program.ports},
            args=fields["args"],
            env=fields["env"],
            options={key: value for key, value in merged.items() if key in program.options},
        )


def _names_lacking(lacking: list[str], nodes: Mapping[str, Values]) -> str:
    return "" if len(lacking) == len(nodes) else f" ({', '.join(lacking)})"


def _check_names(values: Values, validation: Validation) -> None:
    for key in values.keys_in("nodes"):
        if key.text in RESERVED:
            message = f"a node cannot be called `{key.text}`: that is a word for a target"
            validation.report(key, message)


def _check_host(values: Values, validation: Validation) -> None:
    if not values.is_written("host") or not values.get("host"):
        return
    if values.get("links") == "netns":
        message = "host: with `links: netns` kvsim gives each node an address; leave it out"
        validation.report(values.node_of("host"), message)
        return
    problem = _host_problem(values["host"])
    if problem:
        validation.report(values.node_of("host"), f"host: {problem}")


def _host_problem(host: str) -> str | None:
    """Why nodes cannot listen there. Names are not looked up: a resolver has no time limit."""
    # Most files name no host.
    import socket

    address = parse_ip(host)
    if (address is None and not is_loopback(host)) or (address and address.is_multicast):
        return f"expected an address of this machine, such as 127.0.0.1, found {quote(host)}"
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as sock:
            sock.bind((host, 0))
    except OSError as error:
        return f"{quote(host)} is no address of this machine: {error.strerror}"
    return None


def _ports_of(nodes: Mapping[str, Values]) -> Iterator[tuple[str, int, Tree]]:
    """(where, port, its YAML node) for every port written."""
    for name, node in nodes.items():
        if node.get("port"):
            yield f"nodes.{name}.port", node["port"], node.node_of("port")
        extra = node.node_of("ports")
        for key, port in (node.get("ports") or {}).items():
            written = extra.get(key) if isinstance(extra, Fields) else None
            yield f"nodes.{name}.ports.{key}", port, written or extra


def _check_ports(nodes: Mapping[str, Values], validation: Validation) -> None:
    first: dict[int, str] = {}
    for where, port, tree in _ports_of(nodes):
        if port in first:
            message = f"{where}: port {port} is used already, by {first[port]}"
            validation.report(tree, message)
        first.setdefault(port, where)


def _check_node_ports(
    nodes: Mapping[str, Values], programs: Mapping[str, Program], validation: Validation
) -> None:
    for name, program in programs.items():
        node = nodes[name]
        for key in node.get("ports") or {}:
            if key not in program.ports:
                known = did_you_mean(key, program.ports)
                message = f"nodes.{name}.ports: program {program.name} has no port `{key}`{known}"
                validation.report(node.node_of("ports"), message)


def _check_leaders(
    values: Values,
    nodes: Mapping[str, Values],
    programs: Mapping[str, Program],
    validation: Validation,
) -> None:
    """Fixed roles: every node has one, and exactly one is the leader.

    Programs that elect may leave roles out.
    """
    elect = {name for name, program in programs.items() if "elects" in program.capabilities}
    fixed = {name: node for name, node in nodes.items() if name not in elect}
    for name, node in fixed.items():
        if not node.is_written("role") and name in programs:
            message = f"nodes.{name}: `role` is missing: leader or follower"
            validation.report(node.node, message)
    leaders = [name for name, node in nodes.items() if node.get("role") == Role.LEADER]
    for name in leaders[1:]:
        if name in fixed:
            second = f"nodes.{name}: a second leader, beside {leaders[0]}"
            message = f"{second}; roles of this program are fixed"
            validation.report(nodes[name].node_of("role"), message)
    has_roles = all(node.get("role") for node in fixed.values())
    known = nodes and len(programs) == len(nodes) and has_roles
    if known and not leaders and len(fixed) == len(nodes):
        message = (
            "nodes: none of them is the leader, and their program does not elect one "
            "(capability `elects`)"
        )
        validation.report(values.node_of("nodes"), message)


def _check_no_fixed_roles(
    nodes: Mapping[str, Values], programs: Mapping[str, Program], validation: Validation
) -> None:
    """A role in the file would say what no node is told: all are started in the same way."""
    for name, program in programs.items():
        elects = "elects" in program.capabilities and not uses_roles(program)
        # Of a program without a status, the file may say who leads first.
        if elects and program.status is not None and nodes[name].is_written("role"):
            message = (
                f"nodes.{name}: program {program.name} elects its leader (capability `elects`), "
                "and its start does not depend on a role: leave `role` out"
            )
            validation.report(nodes[name].node_of("role"), message)


def uses_roles(program: Program) -> bool:
    """Whether a node of the program is started in another way as leader than as follower."""
    env = program.env[Role.LEADER]
    texts = [*program.start[Role.LEADER], *env.values(), *program.files.values()]
    commands = [*program.init, *program.after_start]
    texts += [word for command in commands for word in command.argv]
    return (
        program.start[Role.LEADER] != program.start[Role.FOLLOWER]
        or env != program.env[Role.FOLLOWER]
        or any(len(command.roles) < len(Role) for command in commands)
        or any(name in text for text in texts for name in ("{role", "{leader", "{followers"))
    )


def _check_options(
    values: Values,
    nodes: Mapping[str, Values],
    programs: Mapping[str, Program],
    validation: Validation,
) -> None:
    _check_known_options(values, programs.values(), validation)
    for name, node in nodes.items():
        with validation.inside(f"nodes.{name}"):
            _check_known_options(node, [programs[name]], validation)


def _check_known_options(
    values: Values, programs: Collection[Program], validation: Validation
) -> None:
    for key in values.keys_in("options"):
        value = values["options"].get(key.text)
        message = value is not None and option_mistake(key.text, value, programs)
        if message:
            validation.report(key, f"options: {message}")


def option_mistake(name: str, value: str, programs: Collection[Program]) -> str:
    """What is wrong with a value for an option of these programs; empty when nothing is."""
    having = [program for program in programs if name in program.options]
    if not having:
        known = {option for program in programs for option in program.options}
        return f"no program here has an option `{name}`{did_you_mean(name, known)}"
    for program in having:
        values = program.option_values.get(name)
        if values is not None and value not in values:
            meant = closest(value, values)
            hint = f"; did you mean `{meant}`?" if meant else ""
            words = f"{', '.join(values)}{hint}"
            return (
                f"`{name}` of program {program.name} cannot be {quote(value)}; it is one of {words}"
            )
    return ""


def _check_templates(
    nodes: Mapping[str, Values], programs: Mapping[str, Program], validation: Validation
) -> None:
    """Templates in a node's own args and env, against its program's names."""
    for name, program in programs.items():
        known = known_names(program.ports, program.options, nodes)
        for key, scalar in _templates_of(nodes[name]):
            with validation.inside(f"nodes.{name}"):
                check_template(scalar, known, validation, argument=key == "args")


def _templates_of(node: Values) -> Iterator[tuple[str, Scalar]]:
    for key in ("args", "env"):
        if node.is_written(key):
            yield from ((key, scalar) for scalar in scalars_in(node.node_of(key)))


# --- another program -------------------------------------------------------------------------


def with_roles(cluster: Fields) -> Fields:
    """The cluster's tree with roles, where no node has one: the first node is the leader.

    A program that elects may have them, and starts as it likes.
    """
    nodes = cluster.get("nodes")
    entries = nodes.entries if isinstance(nodes, Fields) else ()
    if any(isinstance(node, Fields) and node.get("role") is not None for _, node in entries):
        return cluster
    roles = itertools.chain([Role.LEADER], itertools.repeat(Role.FOLLOWER))
    given = Fields(
        cluster.location,
        tuple(
            (name, _with_role(node, role))
            for (name, node), role in zip(entries, roles, strict=False)
        ),
    )
    return Fields(
        cluster.location,
        tuple((key, given if key.text == "nodes" else value) for key, value in cluster.entries),
    )


def _with_role(node: Tree, role: Role) -> Tree:
    if not isinstance(node, Fields):
        return node
    location = node.location
    return Fields(
        location, ((Scalar(location, "role"), Scalar(location, role.value)), *node.entries)
    )


# --- another number of nodes -----------------------------------------------------------------

# Fields that a copy of a node must not have: two nodes cannot share a port.
UNIQUE_FIELDS = ("port", "ports")


def resize(cluster: Fields, count: int) -> Fields:
    """The cluster's tree with `count` nodes. Leaders are never left out, so there may be more."""
    entries = tuple(
        (key, _resize_nodes(value, count))
        if key.text == "nodes" and isinstance(value, Fields)
        else (key, value)
        for key, value in cluster.entries
    )
    return Fields(cluster.location, entries)


def _resize_nodes(nodes: Fields, count: int) -> Fields:
    entries = list(nodes.entries)
    for entry in reversed(nodes.entries):
        if len(entries) > count and not _is_leader(entry[1]):
            entries.remove(entry)
    followers = [entry for entry in entries if not _is_leader(entry[1])]
    if entries:
        name, model = (followers or entries)[-1]
        names = _new_names(name, {key.text for key, _ in entries})
        missing = range(count - len(entries))
        entries += [(next(names), _follower_like(model)) for _ in missing]
    return Fields(nodes.location, tuple(entries))


def _is_leader(node: Tree) -> bool:
    role = node.get("role") if isinstance(node, Fields) else None
    return isinstance(role, Scalar) and role.text == Role.LEADER


def _new_names(model: Scalar, taken: set[str]) -> Iterator[Scalar]:
    stem = re.sub(r"\d+$", "", model.text) or "n"
    for number in itertools.count(1):
        if f"{stem}{number}" not in taken:
            yield Scalar(model.location, f"{stem}{number}")


def _follower_like(node: Tree) -> Tree:
    if not isinstance(node, Fields):
        return node
    entries = tuple(
        (key, Scalar(value.location, Role.FOLLOWER.value) if key.text == "role" else value)
        for key, value in node.entries
        if key.text not in UNIQUE_FIELDS
    )
    return Fields(node.location, entries)
