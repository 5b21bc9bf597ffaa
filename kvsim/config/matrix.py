"""A scenario's matrix: every combination of its values is a separate scenario, called a cell.

Pure: from one tree to several. `{name}` is filled in before the file is read, so it may be part of
any value: in a step, in `options`, as a number of clients, in the name of a file.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from kvsim.config.schema import WORD, ListOf, MapOf, Text, Validation
from kvsim.config.template import TOKEN
from kvsim.config.yaml_nodes import Fields, Items, Scalar, Tree
from kvsim.errors import Problem, UsageError
from kvsim.text import did_you_mean

KEY = "matrix"
CELLS_MAX = 100
MATRIX = MapOf(
    ListOf(Text("a value"), length_min=1, single=True),
    key=WORD,
    key_expected="a name (small letters, digits, _)",
    length_min=1,
)

# Name → its value in this cell.
Cell = dict[str, str]


def cells_of(tree: Fields, validation: Validation) -> list[Cell]:
    """Every combination of values; the last name changes fastest. Without a matrix, one empty cell.

    Adds what is wrong with the matrix to `validation`; then there is one cell, so that the rest of
    the file can be read.
    """
    written = tree.get(KEY)
    if written is None:
        return [{}]
    before = len(validation.problems)
    with validation.inside(KEY):
        values: Mapping[str, Sequence[str]] = MATRIX.read(written, validation) or {}
        _check(tree, written, values, validation)
    if len(validation.problems) > before:
        keys = [key.text for key, _ in written.entries] if isinstance(written, Fields) else []
        return [{name: next(iter(values.get(name, ())), "1") for name in keys}]
    return [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]


def fill(tree: Fields, cell: Mapping[str, str]) -> Fields:
    """The scenario of one cell: without the matrix, and with the values of the cell filled in."""
    entries = tuple((key, _fill(value, cell)) for key, value in tree.entries if key.text != KEY)
    return Fields(tree.location, entries)


def label(cell: Mapping[str, str]) -> str:
    """`fsync=always-clients=5`: the name of a cell in tables, tests and folders."""
    return "-".join(f"{name}={value}" for name, value in cell.items())


def arguments(cell: Mapping[str, str]) -> tuple[str, ...]:
    """The arguments of a command line that choose this cell."""
    return tuple(word for name, value in cell.items() for word in ("--cell", f"{name}={value}"))


def choose(cells: Sequence[Cell], selected: Iterable[str], file: str) -> list[Cell]:
    """The cells that have all the selected values, each `NAME=VALUE`.

    Raises UsageError for a value that no cell of the file has.
    """
    matching = list(cells)
    for argument in selected:
        name, equals, value = argument.partition("=")
        if not equals:
            raise UsageError(f"--cell {argument}: expected NAME=VALUE")
        names = list(cells[0])
        if name not in names:
            known = (
                f"its matrix has {', '.join(names)}{did_you_mean(name, names)}"
                if names
                else "it has no matrix"
            )
            raise UsageError(f"--cell {argument}: {file} has no `{name}`: {known}")
        values = list(dict.fromkeys(cell[name] for cell in cells))
        if value not in values:
            known = f"{', '.join(values)}{did_you_mean(value, values)}"
            raise UsageError(f"--cell {argument}: in {file}, {name} is one of {known}")
        matching = [cell for cell in matching if cell[name] == value]
    return matching


def merge_problems(found: Sequence[tuple[Cell, Sequence[Problem]]]) -> list[Problem]:
    """The mistakes of all cells, each once. One of only some cells names the first of them."""
    cells_with: dict[Problem, list[Cell]] = {}
    for cell, problems in found:
        for problem in dict.fromkeys(problems):
            cells_with.setdefault(problem, []).append(cell)
    return [
        problem if len(cells) == len(found) else _in_cell(problem, cells[0])
        for problem, cells in cells_with.items()
    ]


def _in_cell(problem: Problem, cell: Cell) -> Problem:
    return problem._replace(message=f"{problem.message} (in cell {label(cell)})")


def _check(
    tree: Fields, written: Tree, values: Mapping[str, Sequence[str]], validation: Validation
) -> None:
    count = math.prod(map(len, values.values()))
    if count > CELLS_MAX:
        product = " × ".join(str(len(row)) for row in values.values())
        validation.report(
            written,
            f"{product} = {count} cells, each a run; at most {CELLS_MAX}: leave values out",
        )
    bare = list(_unquoted(tree, frozenset(values)))
    used = {*_names(tree), *(key.text for key in bare)}
    variables = tree.get("vars")
    for key, _ in written.entries if isinstance(written, Fields) else ():
        if key.text not in values:
            continue
        for value in _repeated(values[key.text]):
            validation.report(key, f"{key.text} has the value {value} twice")
        if isinstance(variables, Fields) and variables.get(key.text) is not None:
            validation.report(key, f"`{key.text}` is also in `vars`")
        if key.text not in used:
            validation.report(
                key, f'`{key.text}` is not used: write "{{{key.text}}}" in a step or a setting'
            )
    for key in bare:
        quoted = f'"{{{key.text}}}"'
        validation.report(
            key, f"{{{key.text}}} needs quotes, or YAML takes it for a mapping: {quoted}"
        )


def _repeated(values: Sequence[str]) -> Iterator[str]:
    for value in dict.fromkeys(values):
        if values.count(value) > 1:
            yield value


def _names(tree: Tree) -> Iterator[str]:
    """The names in all templates of the tree, except in its matrix."""
    if isinstance(tree, Scalar):
        yield from (match[2] for match in TOKEN.finditer(tree.text) if match[2])
    elif isinstance(tree, Items):
        for item in tree.items:
            yield from _names(item)
    else:
        for key, value in tree.entries:
            if key.text != KEY:
                yield from _names(value)


def _unquoted(tree: Tree, names: frozenset[str]) -> Iterator[Scalar]:
    """`{name}` without quotes, which YAML reads as a mapping from `name` to nothing."""
    if isinstance(tree, Items):
        for item in tree.items:
            yield from _unquoted(item, names)
    elif isinstance(tree, Fields):
        for key, value in tree.entries:
            if _is_unquoted(key, value, names):
                yield key
            elif key.text != KEY:
                yield from _unquoted(value, names)


def _is_unquoted(key: Scalar, value: Tree, names: Container[str]) -> bool:
    return key.text in names and isinstance(value, Scalar) and value.absent


def _fill(tree: Tree, cell: Mapping[str, str]) -> Tree:
    if isinstance(tree, Items):
        return Items(tree.location, tuple(_fill(item, cell) for item in tree.items))
    if isinstance(tree, Fields):
        if len(tree.entries) == 1 and _is_unquoted(*tree.entries[0], cell):
            # Reported already.
            return Scalar(tree.location, cell[tree.entries[0][0].text])
        return Fields(
            tree.location, tuple((key, _fill(value, cell)) for key, value in tree.entries)
        )
    text = TOKEN.sub(lambda match: cell.get(match[2] or "", match[0]), tree.text)
    return tree if text == tree.text else Scalar(tree.location, text, plain=bool(text))
