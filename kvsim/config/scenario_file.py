"""Read a scenario file into a `Scenario`, and hold one against a cluster (`lint`). The language is `scenario_words.py`'s tables.

Neither starts anything nor asks anybody. Names of checks come from the caller, since checks live above this layer.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvsim.config import matrix
from kvsim.config.cluster import Instead
from kvsim.config.program_file import find_program, not_found
from kvsim.config.scenario import Group, Scenario, Step, Timing
from kvsim.config.scenario_words import GROUP, KINDS, MODIFIERS, SCENARIO, VERBS, Verb
from kvsim.config.shape import WRONG, Reading, Values
from kvsim.config.spelling import did_you_mean
from kvsim.config.template import Known, TemplateError, mistakes, names_in
from kvsim.config.yaml_tree import (
    Fields,
    Items,
    Scalar,
    Tree,
    flow,
    is_file,
    quoted,
    read_file,
    read_text,
    shown,
)
from kvsim.errors import FileProblems, Problem, UsageError


def load_scenarios(
    path: Path | str, checks: frozenset[str] | None = None, picked: Sequence[str] = ()
) -> tuple[Scenario, ...]:
    """Read a scenario file: one scenario, or one for each cell of its matrix. `checks` are the names of checks that exist; None: any name.

    `picked`, each `NAME=VALUE`: only the cells that have those values. Raises UsageError when no cell has one, and FileProblems with
    everything that is wrong in the file, in whatever cell. The cluster file it names must exist; it is not opened.
    """
    path = Path(path)
    problems: list[Problem] = []
    tree = read_file(path, problems)
    cells = [] if tree is None else matrix.cells_of(tree, Reading(problems))
    found = [_read(matrix.filled(tree, cell), path, cell, checks) for cell in cells]
    problems += matrix.told_apart([(cell, wrong) for cell, (_, wrong) in zip(cells, found, strict=True)])
    if problems:
        raise FileProblems(problems)
    wanted = matrix.picked(cells, picked, shown(path))
    return tuple(scenario for scenario, _ in found if scenario and scenario.cell in wanted)


def load_scenario(
    path: Path | str, checks: frozenset[str] | None = None, picked: Sequence[str] = ()
) -> Scenario:
    """The one scenario of a file, or the one cell that is picked. Raises UsageError when there are several, else as `load_scenarios`."""
    found = load_scenarios(path, checks, picked)
    if len(found) > 1:
        some = ", ".join(shlex.join(one.words) for one in found[:3])
        raise UsageError(f"{shown(Path(path))} has {len(found)} cells; pick one: {some}, …")
    return found[0]


def read_steps(text: str, name: str, prefix: str) -> tuple[Step, ...]:
    """Steps out of the text of a YAML list; `name` stands for the file in messages, `prefix` begins their ids. Raises FileProblems."""
    problems: list[Problem] = []
    tree = read_text(text, name, problems)
    steps = () if tree is None else _Steps(Reading(problems), VERBS).held(tree, prefix)
    if problems:
        raise FileProblems(problems)
    return steps


def _read(
    tree: Fields, path: Path, cell: matrix.Cell, checks: frozenset[str] | None
) -> tuple[Scenario | None, list[Problem]]:
    """The plain scenario, or what is wrong with it."""
    problems: list[Problem] = []
    reading = Reading(problems)
    values = SCENARIO.read(tree, reading)
    groups = _Steps(reading, VERBS).groups(values.get("steps"))
    cluster = _cluster_of(values, path, reading)
    _check_variables(values, reading)
    _check_checks(values, checks, reading)
    instead = _instead(values, path, cluster, reading)
    if problems:
        return None, problems
    scenario = Scenario(
        name=values["scenario"],
        title=values["title"],
        path=path.resolve(),
        cluster=cluster,
        groups=groups,
        needs=frozenset(values["needs"]),
        variables=values["vars"],
        checks=values["checks"],
        request_timeout_s=values["request_timeout"],
        instead=instead,
        cell=cell,
        tree=tree,
    )
    return scenario, problems


# --- steps -----------------------------------------------------------------------------------------------------------


@dataclass
class _Steps:
    """Reads groups and steps by a table of verbs."""

    reading: Reading
    verbs: Mapping[str, Verb]

    def groups(self, node: Tree | None) -> tuple[Group, ...]:
        """Groups in order; steps that stand outside a group, one after another, make a group without a title."""
        if node is None:
            return ()
        if not isinstance(node, Items) or not node.items:
            self.reading.say(node, f"steps: expected a list of steps, found {node.said()}")
            return ()
        groups: list[Group] = []
        for run in _runs(node.items):
            groups.append(self.group(run, len(groups) + 1))
        return tuple(groups)

    def group(self, run: list[Tree], number: int) -> Group:
        if not _is_group(run[0]):
            return Group("", self.steps(run, f"{number}."), run[0].mark.line)
        values = GROUP.read(run[0], self.reading)
        held = values.get("steps")
        return Group(values.get("group", ""), self.held(held, f"{number}."), run[0].mark.line)

    def held(self, node: Tree | None, prefix: str) -> tuple[Step, ...]:
        """The steps of a group, or of a verb that holds steps."""
        if node is None:
            return ()
        if isinstance(node, Items) and node.items:
            return self.steps(list(node.items), prefix)
        self.reading.say(node, f"expected a list of steps, found {node.said()}")
        return ()

    def steps(self, nodes: Iterable[Tree], prefix: str) -> tuple[Step, ...]:
        steps = [self.step(node, f"{prefix}{place}") for place, node in enumerate(nodes, 1)]
        return tuple(step for step in steps if step is not None)

    def step(self, node: Tree, id_: str) -> Step | None:
        found = self.verb_of(node)
        if found is None:
            return None
        key, behind = found
        verb = self.verbs[key.text]
        with self.reading.inside(key.text):
            values = verb.record(key.text).read(behind, self.reading)
            if values is WRONG:
                return None
            self.check_together(verb, values)
            timing = self.timing(verb, values)
        steps = self.held(values.get(verb.holds), f"{id_}.") if verb.holds else ()
        expect = values.get("expect") or verb.default_expectation()
        return Step(
            id=id_,
            verb=key.text,
            fields={name: values.get(name) for name in verb.fields},
            line=key.mark.line,
            column=key.mark.column,
            text=_as_written(key, behind, verb),
            expect=expect,
            timing=timing,
            steps=steps,
        )

    def verb_of(self, node: Tree) -> tuple[Scalar, Tree] | None:
        """The one verb of a step and what stands behind it; None, and a problem, when there is not exactly one."""
        if not isinstance(node, Fields):
            unknown = isinstance(node, Scalar) and node.text and node.text not in self.verbs
            hint = did_you_mean(node.text, self.verbs) if unknown else ""
            self.reading.say(node, f"expected a step such as `- put: {{…}}`, found {node.said()}{hint}")
            return None
        known = [entry for entry in node.entries if entry[0].text in self.verbs]
        for key, _ in node.entries:
            if key.text not in self.verbs:
                self.reading.say(key, self.no_verb(key.text, known))
        if len(known) > 1:
            words = " and ".join(key.text for key, _ in known)
            self.reading.say(
                known[1][0],
                f"a step has exactly one verb; found {words} (make it another step, with its own `-`)",
            )
            return None
        if not node.entries:
            self.reading.say(node, "an empty step")
        return known[0] if known else None

    def no_verb(self, word: str, known: list[tuple[Scalar, Tree]]) -> str:
        if known and (word in MODIFIERS or word in self.verbs[known[0][0].text].record("").fields):
            verb = known[0][0].text
            return f"`{word}` belongs inside the verb: `{verb}: {{…, {word}: …}}`"
        if word == "group":
            return "a group cannot stand inside a group or a step"
        return f"unknown verb {quoted(word)}{did_you_mean(word, self.verbs)}"

    def check_together(self, verb: Verb, values: Values) -> None:
        for name, partners in verb.together.items():
            if not values.wrote(name):
                continue
            for partner in partners:
                if not any(values.wrote(one) for one in partner.split("|")):
                    words = partner.replace("|", "` or `")
                    self.reading.say(values.at(name), f"`{name}` goes with `{words}`")

    def timing(self, verb: Verb, values: Values) -> Timing:
        written = [name for name in MODIFIERS if values.wrote(name)]
        if len(written) > 1:
            self.reading.say(
                values.at(written[1]),
                f"at most one of eventually, always, within; found {' and '.join(written)}",
            )
        given = {f"{name}_s": values.get(name) for name in MODIFIERS}
        if given["within_s"] is None:
            given["within_s"] = verb.within_s
        return Timing(**given)


def _runs(nodes: Iterable[Tree]) -> Iterator[list[Tree]]:
    """Each group alone, and each run of steps between groups together."""
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
    return isinstance(node, Fields) and (node.get("group") is not None or node.get("steps") is not None)


def _as_written(key: Scalar, behind: Tree, verb: Verb) -> str:
    """The step on one line; steps that it holds are left out."""
    if verb.holds and isinstance(behind, Fields):
        behind = Fields(behind.mark, tuple(entry for entry in behind.entries if entry[0].text != verb.holds))
    return f"{key.text}: {flow(behind)}"


# --- what a shape cannot see -----------------------------------------------------------------------------------------


def _cluster_of(values: Values, path: Path, reading: Reading) -> Path:
    """The cluster file, as seen from the scenario; it must be there."""
    cluster = (path.resolve().parent / values.get("cluster", ".")).resolve()
    if values.get("cluster") and not is_file(cluster):
        reading.say(values.at("cluster"), f"cluster: there is no file {quoted(shown(cluster))}")
    return cluster


def _instead(values: Values, path: Path, cluster: Path, reading: Reading) -> Instead:
    """What is said here instead of in the cluster file, and where."""
    places = {name: values.at(name).mark for name in ("program", "nodes") if values.wrote(name)}
    options = values.at("options")
    if values.wrote("options") and isinstance(options, Fields):
        places |= {key.text: key.mark for key, _ in options.entries}
    return Instead(
        _program(values, path, cluster, reading), values.get("options", {}), values.get("nodes"), places
    )


def _program(values: Values, path: Path, cluster: Path, reading: Reading) -> str | None:
    """The node.yaml of the program that is named here, looked for from this file, then from the cluster's."""
    name = values.get("program")
    if name is None:
        return None
    found = find_program(name, path.resolve().parent) or find_program(name, cluster.parent)
    if found is None:
        reading.say(values.at("program"), not_found(name, path.parent))
        return None
    return str(found)


def _check_variables(values: Values, reading: Reading) -> None:
    """Every {name} is a variable, and every variable is used."""
    variables: dict[str, str] = values.get("vars", {})
    known = Known(frozenset(variables))
    used: set[str] = set()
    for scalar, _ in reading.templates:
        for message in mistakes(scalar.text, known):
            reading.say(scalar, message)
        used |= _names(scalar.text)
    written = values.at("vars")
    entries = written.entries if values.wrote("vars") and isinstance(written, Fields) else ()
    for key, value in entries:
        if variables.get(key.text, "").startswith("random_") and variables[key.text] not in KINDS:
            reading.say(
                value,
                f"vars.{key.text}: unknown kind {value.said()}{did_you_mean(variables[key.text], KINDS)}",
            )
    if not reading.problems:  # a mistake elsewhere may be why nobody uses it
        for key, _ in entries:
            if key.text not in used:
                reading.say(key, f"vars: `{key.text}` is used by no step")


def _names(text: str) -> frozenset[str]:
    try:
        return names_in(text)
    except TemplateError:
        return frozenset()


def _check_checks(values: Values, checks: frozenset[str] | None, reading: Reading) -> None:
    if checks is None:
        return
    written = values.at("checks")
    items = written.items if isinstance(written, Items) else (written,)
    for item in items if values.wrote("checks") else ():
        if isinstance(item, Scalar) and item.text not in checks:
            reading.say(
                item, f"checks: there is no check {quoted(item.text)}{did_you_mean(item.text, checks)}"
            )
