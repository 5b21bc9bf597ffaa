"""Read a scenario file into a `Scenario`. `scenario_schema` describes the language.

Starts nothing. The verbs and the names of checks come from a registry, since they are declared
above this layer.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from kvsim.config import matrix
from kvsim.config.cluster import Overrides
from kvsim.config.program_loader import find_program, not_found
from kvsim.config.registry import Registry
from kvsim.config.scenario import PartialStep, Scenario, Step, StepGroup, Timing
from kvsim.config.scenario_schema import GROUP, MODIFIERS, SCENARIO, TEXT_KIND, VARIABLE_KINDS, Verb
from kvsim.config.schema import WRONG, Validation, Values, hint
from kvsim.config.target import Target
from kvsim.config.template import Known, TemplateError, mistakes, names_in
from kvsim.config.yaml_nodes import (
    Fields,
    Items,
    Scalar,
    Tree,
    display_path,
    flow_style,
    is_file,
    quote,
    read_file,
    read_text,
)
from kvsim.errors import FileProblems, Problem, UsageError
from kvsim.text import did_you_mean
from kvsim.timeouts import DefaultTimeout


def load_scenarios(
    path: Path | str, registry: Registry, cells: Sequence[str] = ()
) -> tuple[Scenario, ...]:
    """Read a scenario file: one scenario, or one for each cell of its matrix.

    `cells`, each `NAME=VALUE`: only the cells that have those values. The cluster file that the
    scenario names must exist; it is not opened.

    Raises UsageError when no cell has a value, and FileProblems with everything that is wrong in
    the file, in any cell.
    """
    scenarios, problems = read_scenarios(path, registry)
    if problems:
        raise FileProblems(problems)
    every_cell = [dict(scenario.cell) for scenario in scenarios]
    chosen = matrix.choose(every_cell, cells, display_path(Path(path)))
    return tuple(scenario for scenario in scenarios if scenario.cell in chosen)


def read_scenarios(
    path: Path | str, registry: Registry
) -> tuple[tuple[Scenario, ...], list[Problem]]:
    """The scenarios of a file, as complete as its mistakes allow, and the mistakes.

    With mistakes, they are for finding others, as on their cluster: never to be run.
    """
    path = Path(path)
    problems: list[Problem] = []
    tree = read_file(path, problems)
    if tree is None:
        return (), problems
    cells = matrix.cells_of(tree, Validation(problems))
    found = [_read(matrix.fill(tree, cell), path, cell, registry) for cell in cells]
    problems += matrix.merge_problems(
        [(cell, mistakes) for cell, (_, mistakes) in zip(cells, found, strict=True)]
    )
    return tuple(scenario for scenario, _ in found if scenario), problems


def load_scenario(path: Path | str, registry: Registry, cells: Sequence[str] = ()) -> Scenario:
    """The one scenario of a file, or the one cell that `cells` choose.

    Raises UsageError when there are several, else as `load_scenarios`.
    """
    found = load_scenarios(path, registry, cells)
    if len(found) > 1:
        examples = ", ".join(shlex.join(scenario.cell_arguments) for scenario in found[:3])
        file = display_path(Path(path))
        raise UsageError(f"{file} has {len(found)} cells; choose one: {examples}, …")
    return found[0]


def read_recorded(path: Path, cluster: Path, registry: Registry, cell: matrix.Cell) -> Scenario:
    """The scenario whose file a run recorded. `cluster` is the recorded cluster file.

    Its program may be missing on this machine, and is left out. Raises FileProblems.
    """
    problems: list[Problem] = []
    tree = read_file(path, problems)
    if tree is None:
        raise FileProblems(problems)
    entries = tuple(
        (key, Scalar(value.location, str(cluster)) if key.text == "cluster" else value)
        for key, value in matrix.fill(tree, cell).entries
        if key.text != "program"
    )
    scenario, problems = _read(Fields(tree.location, entries), path, cell, registry)
    if scenario is None:
        raise FileProblems(problems)
    return scenario


def read_steps(text: str, name: str, prefix: str, verbs: Mapping[str, Verb]) -> tuple[Step, ...]:
    """Steps out of the text of a YAML list.

    `name` is the file's name in messages; `prefix` begins the ids of the steps. Raises
    FileProblems.
    """
    problems: list[Problem] = []
    tree = read_text(text, name, problems)
    reader = _StepReader(Validation(problems), verbs)
    steps = () if tree is None else reader.inner_steps(tree, prefix)
    if problems:
        raise FileProblems(problems)
    return steps


def _read(
    tree: Fields, path: Path, cell: matrix.Cell, registry: Registry
) -> tuple[Scenario | None, list[Problem]]:
    """The scenario of one cell, or what is wrong with it."""
    problems: list[Problem] = []
    validation = Validation(problems)
    values: Values = SCENARIO.read(tree, validation)
    groups = _StepReader(validation, registry.verbs).groups(values.get("steps"))
    cluster = _cluster_file(values, path, validation)
    _check_variables(values, cell, validation)
    _check_checks(values, registry.checks, validation)
    overrides = _overrides(values, path, cluster, validation)
    if not values.get("cluster") or not is_file(cluster):
        return None, problems
    scenario = Scenario(
        name=values.get("scenario") or path.stem,
        title=values.get("title", ""),
        path=path.resolve(),
        cluster=cluster,
        groups=groups,
        needs=frozenset(values.get("needs", ())),
        variables=values.get("vars", {}),
        checks=values.get("checks", ()),
        request_timeout_s=values.get("request_timeout", DefaultTimeout(1.0)),
        overrides=overrides,
        cell=cell,
        tree=tree,
    )
    return scenario, problems


# --- steps -----------------------------------------------------------------------------------


class _StepReader(Struct):
    """Reads groups and steps by a table of verbs."""

    validation: Validation
    verbs: Mapping[str, Verb]

    def groups(self, node: Tree | None) -> tuple[StepGroup, ...]:
        """Groups in order; consecutive steps outside every group make a group without a title."""
        if node is None:
            return ()
        if not isinstance(node, Items) or not node.items:
            found = node.describe()
            self.validation.report(node, f"steps: expected a list of steps, found {found}")
            return ()
        runs = _split_into_groups(node.items)
        return tuple(self.group(nodes, number) for number, nodes in enumerate(runs, 1))

    def group(self, nodes: list[Tree], number: int) -> StepGroup:
        line = nodes[0].location.line
        if not _is_group(nodes[0]):
            return StepGroup("", self.steps(nodes, f"{number}."), line)
        values: Values = GROUP.read(nodes[0], self.validation)
        needs = frozenset(values.get("needs") or ())
        steps = tuple(
            replace(step, needs=step.needs | needs)
            for step in self.inner_steps(values.get("steps"), f"{number}.")
        )
        return StepGroup(values.get("group", ""), steps, line)

    def inner_steps(self, node: Tree | None, prefix: str) -> tuple[Step, ...]:
        """The steps inside a group or inside another step."""
        if node is None:
            return ()
        if isinstance(node, Items) and node.items:
            return self.steps(node.items, prefix)
        self.validation.report(node, f"expected a list of steps, found {node.describe()}")
        return ()

    def steps(self, nodes: Iterable[Tree], prefix: str) -> tuple[Step, ...]:
        steps = [self.step(node, f"{prefix}{number}") for number, node in enumerate(nodes, 1)]
        return tuple(step for step in steps if step is not None)

    def step(self, node: Tree, step_id: str) -> Step | None:
        found = self.verb_of(node)
        if found is None:
            return None
        key, body = found
        verb = self.verbs[key.text]
        record = verb.record()
        before = len(self.validation.problems)
        with self.validation.inside(key.text):
            values = record.read(body, self.validation)
            if values is WRONG:
                return None
            self.check_together(verb, values)
            self.check_timing(values)
        own = len(self.validation.problems)
        inner = values.pop(verb.holds, None) if verb.holds else None
        steps = self.inner_steps(inner, f"{step_id}.")
        if own > before:
            return PartialStep(
                id=step_id,
                verb=verb.name,
                location=key.location,
                text="",
                steps=steps,
                found=tuple(_targets_in(values)),
            )
        return _build(verb, values, id=step_id, key=key, body=body, steps=steps)

    def verb_of(self, node: Tree) -> tuple[Scalar, Tree] | None:
        """The one verb of a step and its fields.

        None, and a problem, when there is not exactly one.
        """
        if not isinstance(node, Fields):
            unknown = isinstance(node, Scalar) and node.text and node.text not in self.verbs
            known = hint(node.text, self.verbs) if isinstance(node, Scalar) and unknown else ""
            found = f"{node.describe()}{known}"
            self.validation.report(node, f"expected a step such as `- put: {{…}}`, found {found}")
            return None
        verbs = [entry for entry in node.entries if entry[0].text in self.verbs]
        for key, _ in node.entries:
            if key.text not in self.verbs:
                self.validation.report(key, self.unknown_verb(key.text, verbs))
        if len(verbs) > 1:
            found = " and ".join(key.text for key, _ in verbs)
            self.validation.report(
                verbs[1][0],
                f"a step has exactly one verb; found {found} "
                "(make it another step, with its own `-`)",
            )
            return None
        if not node.entries:
            self.validation.report(node, "an empty step")
        return verbs[0] if verbs else None

    def unknown_verb(self, word: str, verbs: list[tuple[Scalar, Tree]]) -> str:
        if verbs and (word in MODIFIERS or word in self.verbs[verbs[0][0].text].record().fields):
            verb = verbs[0][0].text
            return f"`{word}` belongs inside the verb: `{verb}: {{…, {word}: …}}`"
        if word == "group":
            return "a group cannot be inside a group or a step"
        return f"unknown verb {quote(word)}{hint(word, self.verbs)}"

    def check_together(self, verb: Verb, values: Values) -> None:
        for name, partners in verb.together.items():
            if not values.is_written(name):
                continue
            for partner in partners:
                if not any(map(values.is_written, partner.split("|"))):
                    words = partner.replace("|", "` or `")
                    self.validation.report(values.node_of(name), f"`{name}` needs `{words}`")

    def check_timing(self, values: Values) -> None:
        written = [name for name in MODIFIERS if values.is_written(name)]
        if len(written) > 1:
            found = " and ".join(written)
            self.validation.report(
                values.node_of(written[1]),
                f"at most one of eventually, always, within; found {found}",
            )


def _targets_in(value: Any) -> Iterator[Target]:
    """Every target in what was read."""
    if isinstance(value, Target):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from _targets_in(inner)


def _build(
    verb: Verb, values: Values, *, id: str, key: Scalar, body: Tree, steps: tuple[Step, ...]
) -> Step:
    """The typed step of values that were read without a problem."""
    fields: dict[str, Any] = verb.record().build(values)
    needs = fields.pop("needs")
    limits = {f"{name}_s": fields.pop(name, None) for name in MODIFIERS}
    if limits["within_s"] is None:
        limits["within_s"] = verb.within_s
    step = verb.step(
        id=id,
        verb=verb.name,
        location=key.location,
        text=_as_written(key, body, verb),
        expect=fields.pop("expect", None) or verb.default_expectation(),
        timing=Timing(**limits),
        steps=steps,
        **fields,
    )
    return replace(step, needs=needs)


def _split_into_groups(nodes: Iterable[Tree]) -> Iterator[list[Tree]]:
    """Each group alone, and the steps between two groups together."""
    run: list[Tree] = []
    for node in nodes:
        if _is_group(node):
            if run:
                yield run
            yield [node]
            run = []
        else:
            run.append(node)
    if run:
        yield run


def _is_group(node: Tree) -> bool:
    return isinstance(node, Fields) and (
        node.get("group") is not None or node.get("steps") is not None
    )


def _as_written(key: Scalar, body: Tree, verb: Verb) -> str:
    """The step on one line, without the steps inside it."""
    if verb.holds and isinstance(body, Fields):
        entries = tuple(entry for entry in body.entries if entry[0].text != verb.holds)
        body = Fields(body.location, entries)
    return f"{key.text}: {flow_style(body)}"


# --- what a schema cannot check --------------------------------------------------------------


def _cluster_file(values: Values, path: Path, validation: Validation) -> Path:
    """The cluster file, relative to the scenario; it must exist."""
    cluster: Path = (path.resolve().parent / values.get("cluster", ".")).resolve()
    if values.get("cluster") and not is_file(cluster):
        file = quote(display_path(cluster))
        validation.report(values.node_of("cluster"), f"cluster: there is no file {file}")
    return cluster


def _overrides(values: Values, path: Path, cluster: Path, validation: Validation) -> Overrides:
    """What the scenario sets instead of its cluster file, and where."""
    locations = {
        name: values.node_of(name).location
        for name in ("program", "nodes")
        if values.is_written(name)
    }
    locations |= {key.text: key.location for key in values.keys_in("options")}
    return Overrides(
        _program(values, path, cluster, validation),
        values.get("options", {}),
        values.get("nodes"),
        locations,
    )


def _program(values: Values, path: Path, cluster: Path, validation: Validation) -> str | None:
    """The node.yaml of the program: searched for from this file, then from the cluster's."""
    name = values.get("program")
    if name is None:
        return None
    found = find_program(name, path.resolve().parent) or find_program(name, cluster.parent)
    if found is None:
        validation.report(values.node_of("program"), not_found(name, path.parent))
        return None
    return str(found)


def _check_variables(values: Values, cell: matrix.Cell, validation: Validation) -> None:
    """Every {name} is a variable, and every variable is used.

    That a name is of the matrix too is reported already.
    """
    variables: dict[str, str] = values.get("vars", {})
    known = Known(frozenset(variables))
    used: set[str] = set()
    for scalar, _ in validation.templates:
        for message in mistakes(scalar.text, known):
            validation.report(scalar, message)
        used |= _names(scalar.text)
    _check_variable_kinds(values, variables, validation)
    if not validation.problems:
        # A mistake elsewhere may be why no step uses it.
        for key in values.keys_in("vars"):
            if key.text not in used and key.text not in cell:
                validation.report(key, f"vars: `{key.text}` is used by no step")


def _check_variable_kinds(
    values: Values, variables: Mapping[str, str], validation: Validation
) -> None:
    node = values.node_of("vars")
    for key in values.keys_in("vars"):
        kind = variables.get(key.text, "")
        known = kind in VARIABLE_KINDS or TEXT_KIND.fullmatch(kind)
        if kind.startswith("random_") and not known and isinstance(node, Fields):
            validation.report(
                node.get(key.text) or key,
                f"vars.{key.text}: unknown kind {quote(kind)}{did_you_mean(kind, VARIABLE_KINDS)}",
            )


def _names(text: str) -> frozenset[str]:
    try:
        return names_in(text)
    except TemplateError:
        return frozenset()


def _check_checks(values: Values, checks: Set[str], validation: Validation) -> None:
    node = values.node_of("checks")
    items = node.items if isinstance(node, Items) else (node,)
    for item in items if values.is_written("checks") else ():
        if isinstance(item, Scalar) and item.text not in checks:
            validation.report(
                item, f"checks: there is no check {quote(item.text)}{hint(item.text, checks)}"
            )
