"""A scenario's matrix: every combination of its values is a plain scenario of its own, a cell. Pure: from one tree to several.

`{name}` is filled in before anything is read, so it may stand wherever a value may: in a step, in `options`, as a number of clients, in
the name of a cluster file.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from kvsim.config.common_words import WORD
from kvsim.config.shape import ListOf, MapOf, Reading, Text
from kvsim.config.spelling import did_you_mean
from kvsim.config.template import TOKEN
from kvsim.config.yaml_tree import Fields, Items, Scalar, Tree
from kvsim.errors import Problem, UsageError

KEY = "matrix"
CELLS_MAX = 100
MATRIX = MapOf(
    ListOf(Text("a value"), least=1, one=True),
    key=WORD,
    key_means="a name (small letters, digits, _)",
    least=1,
)

Cell = dict[str, str]  # name → the value it has in this cell


def cells_of(tree: Fields, reading: Reading) -> list[Cell]:
    """Every combination of values, the last name changing fastest; one empty cell where there is no matrix.

    Adds what is wrong with the matrix itself to `reading`; then there are no cells.
    """
    written = tree.get(KEY)
    if written is None:
        return [{}]
    before = len(reading.problems)
    with reading.inside(KEY):
        values: Mapping[str, Sequence[str]] = MATRIX.read(written, reading) or {}
        _check(tree, written, values, reading)
    if len(reading.problems) > before:
        return []
    return [dict(zip(values, row, strict=True)) for row in itertools.product(*values.values())]


def filled(tree: Fields, cell: Mapping[str, str]) -> Fields:
    """The plain scenario of one cell: without the matrix, every `{name}` of the cell replaced in every value."""
    entries = tuple((key, _filled(value, cell)) for key, value in tree.entries if key.text != KEY)
    return Fields(tree.mark, entries)


def label(cell: Mapping[str, str]) -> str:
    """`fsync=always-clients=5`: what a cell is called in tables, tests and folders."""
    return "-".join(f"{name}={value}" for name, value in cell.items())


def words(cell: Mapping[str, str]) -> tuple[str, ...]:
    """The words for a command line that pick this very cell."""
    return tuple(word for name, value in cell.items() for word in ("--cell", f"{name}={value}"))


def picked(cells: Sequence[Cell], wanted: Iterable[str], file: str) -> list[Cell]:
    """The cells that have all the values wanted, each `NAME=VALUE`. Raises UsageError for what no cell of the file has."""
    left = list(cells)
    for word in wanted:
        name, equals, value = word.partition("=")
        if not equals:
            raise UsageError(f"--cell {word}: expected NAME=VALUE")
        names = list(cells[0])
        if name not in names:
            known = (
                f"its matrix has {', '.join(names)}{did_you_mean(name, names)}"
                if names
                else "it has no matrix"
            )
            raise UsageError(f"--cell {word}: {file} has no `{name}`: {known}")
        values = list(dict.fromkeys(cell[name] for cell in cells))
        if value not in values:
            raise UsageError(
                f"--cell {word}: in {file}, {name} is one of {', '.join(values)}{did_you_mean(value, values)}"
            )
        left = [cell for cell in left if cell[name] == value]
    return left


def told_apart(found: Sequence[tuple[Cell, Sequence[Problem]]]) -> list[Problem]:
    """The mistakes of all cells, each once; one that only some cells have names the first of them."""
    where: dict[Problem, list[Cell]] = {}
    for cell, problems in found:
        for problem in dict.fromkeys(problems):
            where.setdefault(problem, []).append(cell)
    return [
        problem
        if len(cells) == len(found)
        else Problem(
            problem.file, problem.line, problem.column, f"{problem.message} (in cell {label(cells[0])})"
        )
        for problem, cells in where.items()
    ]


def _check(tree: Fields, written: Tree, values: Mapping[str, Sequence[str]], reading: Reading) -> None:
    count = math.prod(map(len, values.values()))
    if count > CELLS_MAX:
        product = " × ".join(str(len(one)) for one in values.values())
        reading.say(
            written,
            f"{product} = {count} cells, each a run of its own; at most {CELLS_MAX}: leave values out",
        )
    bare = list(_unquoted(tree, frozenset(values)))
    used = {*_names(tree), *(key.text for key in bare)}
    variables = tree.get("vars")
    for key, _ in written.entries if isinstance(written, Fields) else ():
        if key.text not in values:
            continue
        for value in (one for one, times in _counted(values[key.text]) if times > 1):
            reading.say(key, f"{key.text} has the value {value} twice")
        if isinstance(variables, Fields) and variables.get(key.text) is not None:
            reading.say(key, f"`{key.text}` stands in `vars`, too")
        if key.text not in used:
            reading.say(key, f'`{key.text}` is used nowhere: write "{{{key.text}}}" where it is meant')
    for key in bare:
        quoted = f'"{{{key.text}}}"'
        reading.say(key, f"{{{key.text}}} needs quotes, or YAML takes it for a mapping: {quoted}")


def _counted(values: Sequence[str]) -> Iterator[tuple[str, int]]:
    for value in dict.fromkeys(values):
        yield value, values.count(value)


def _names(tree: Tree) -> Iterator[str]:
    """The names in all templates of the tree, its matrix aside."""
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
            if key.text in names and isinstance(value, Scalar) and value.absent:
                yield key
            elif key.text != KEY:
                yield from _unquoted(value, names)


def _filled(tree: Tree, cell: Mapping[str, str]) -> Tree:
    if isinstance(tree, Items):
        return Items(tree.mark, tuple(_filled(item, cell) for item in tree.items))
    if isinstance(tree, Fields):
        return Fields(tree.mark, tuple((key, _filled(value, cell)) for key, value in tree.entries))
    text = TOKEN.sub(lambda match: cell.get(match[2] or "", match[0]), tree.text)
    return tree if text == tree.text else Scalar(tree.mark, text, plain=bool(text))
