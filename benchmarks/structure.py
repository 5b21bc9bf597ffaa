"""The structure of the code in figures: modules, functions, imports, names, types.

`--against REV` measures an older commit beside the working tree; `--tests` times `make test`.
The figures help a reader; whether a module is one subject is judged by reading.
"""

from __future__ import annotations

import ast
import collections
import functools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from _figures import Report, parser, unpacked

ROOT = Path(__file__).parent.parent
COLUMNS = 100
Functions = ast.FunctionDef | ast.AsyncFunctionDef


class Tree:
    """The Python modules of `kvsim/` in one checkout, parsed. `names`: file to module."""

    def __init__(self, root: Path) -> None:
        self.root = root
        files = sorted((root / "kvsim").rglob("*.py"))
        self.text = {path: path.read_text(encoding="utf-8") for path in files}
        self.parsed = {path: ast.parse(text) for path, text in self.text.items()}
        self.names = {path: self._name(path) for path in files}

    def _name(self, path: Path) -> str:
        parts = path.relative_to(self.root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def lines(self) -> int:
        return sum(text.count("\n") for text in self.text.values())

    @property
    def function_lengths(self) -> list[int]:
        """Lines of every function and method, sorted."""
        return sorted(
            (node.end_lineno or node.lineno) - node.lineno + 1
            for tree in self.parsed.values()
            for node in ast.walk(tree)
            if isinstance(node, Functions)
        )

    @property
    def header_lines(self) -> int:
        """Lines before the first statement of each module that is neither docstring nor import."""
        return sum(map(_header, self.parsed.values()))

    @property
    def lines_too_long(self) -> int:
        return sum(len(line) > COLUMNS for text in self.text.values() for line in text.splitlines())

    def duplicate_classes(self) -> list[str]:
        """Names of classes that stand in two modules or more."""
        return _twice(
            node.name
            for tree in self.parsed.values()
            for node in tree.body
            if isinstance(node, ast.ClassDef)
        )

    def duplicate_modules(self) -> list[str]:
        """Base names of modules that stand in two folders or more."""
        return _twice(path.stem for path in self.text if not path.stem.startswith("__"))

    def longest_chain(self) -> int:
        """Modules on the longest chain of top-level imports."""
        known = set(self.names.values())
        graph = {
            self.names[path]: set(_imports(tree, known)) - {self.names[path]}
            for path, tree in self.parsed.items()
        }
        return _longest_path(graph)


def _header(tree: ast.Module) -> int:
    for position, node in enumerate(tree.body):
        docstring = position == 0 and isinstance(node, ast.Expr)
        if not docstring and not isinstance(node, ast.Import | ast.ImportFrom):
            return node.lineno - 1
    return tree.body[-1].end_lineno or 0 if tree.body else 0


def _twice(names: Iterator[str]) -> list[str]:
    return sorted(name for name, count in collections.Counter(names).items() if count > 1)


def _imports(tree: ast.Module, known: set[str]) -> Iterator[str]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                module = f"{node.module}.{alias.name}"
                yield from {module if module in known else node.module} & known
        elif isinstance(node, ast.Import):
            yield from {alias.name for alias in node.names} & known


def _longest_path(graph: dict[str, set[str]]) -> int:
    """Nodes on the longest path; a circle counts as if the import that closes it were not there."""
    path: set[str] = set()

    @functools.cache
    def depth(module: str) -> int:
        path.add(module)
        below = [depth(other) for other in sorted(graph.get(module, ())) if other not in path]
        path.discard(module)
        return 1 + max(below, default=0)

    return max(map(depth, graph))


def type_errors(root: Path) -> int:
    """Errors of `mypy --strict` over kvsim/, with this interpreter's mypy."""
    with tempfile.TemporaryDirectory() as cache:
        argv = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", cache, "kvsim"]
        found = subprocess.run(argv, cwd=root, capture_output=True, text=True, check=False)
    return found.stdout.count(": error: ")


def measure(root: Path, which: str, report: Report) -> None:
    """Print every figure of one checkout."""
    tree = Tree(root)
    modules, lengths = len(tree.text), tree.function_lengths
    report.add(f"{which}: modules", modules, "files")
    report.add(f"{which}: modules per 1,000 lines", 1000 * modules / tree.lines, "files")
    report.add(f"{which}: lines", tree.lines, "lines")
    report.add(f"{which}: function length, median", statistics.median(lengths), "lines")
    report.add(f"{which}: function length, p90", lengths[len(lengths) * 9 // 10], "lines")
    report.add(f"{which}: function length, max", lengths[-1], "lines")
    report.add(f"{which}: longest import chain", tree.longest_chain(), "modules")
    report.add(f"{which}: header lines", 100 * tree.header_lines / tree.lines, "percent")
    report.add(f"{which}: class names defined twice", len(tree.duplicate_classes()), "names")
    report.add(f"{which}: module names in two folders", len(tree.duplicate_modules()), "names")
    report.add(f"{which}: lines over {COLUMNS} columns", tree.lines_too_long, "lines")
    report.add(f"{which}: mypy --strict", type_errors(root), "errors")


def main() -> int:
    made = parser(__doc__)
    made.add_argument("--against", metavar="REV", help="a commit to measure beside the work tree")
    made.add_argument("--tests", action="store_true", help="time `make test` as well")
    arguments = made.parse_args()
    report = Report(arguments.json)
    if arguments.against:
        with unpacked(arguments.against) as root:
            measure(root, arguments.against, report)
    measure(ROOT, "now", report)
    if arguments.tests:
        begin = time.monotonic()
        subprocess.run(["make", "test"], cwd=ROOT, check=True)
        report.add("now: make test", (time.monotonic() - begin) / 60, "minutes", "<= 4")
    report.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
