"""The rules of the architecture, as tests that name the cure."""

from __future__ import annotations

import ast
import collections
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
# From the ground up: a module may import from the layers below its own, and from its own package.
LAYERS = [
    {
        "argument_types",
        "discovery",
        "errors",
        "file_formats",
        "folders",
        "structs",
        "invocation",
        "ip_addresses",
        "prerequisites",
        "shipped",
        "text",
        "timeouts",
        "user_files",
        "waiting",
    },
    {"config", "history", "run_directory", "data_directory", "patterns"},
    {"process", "logs", "client", "checks"},
    {"network"},
    {"launcher", "proof", "faults", "workload", "trials"},
    {"runner", "report"},
    {"doctor", "selftest", "suite", "campaign", "grading", "api"},
    {"cli", "pytest_plugin"},
    {"__main__"},
]
LEVELS = {package: level for level, packages in enumerate(LAYERS) for package in packages}
# Inside a layer there is one order: files are read in the terms of what they describe, and mistakes
# are put in words by `text`.
SAME_LAYER = {
    ("config", "history"),
    ("config", "patterns"),
    ("history", "run_directory"),
    ("shipped", "folders"),
    ("user_files", "text"),
}
SOURCES = sorted((ROOT / "kvsim").rglob("*.py"))
# What users import or extend: each public class and function there needs a docstring.
PUBLISHED = [
    "api",
    "pytest_plugin.py",
    "config/registry.py",
    "config/fault_schema.py",
    "client/exchange.py",
    "client/codec.py",
    "faults/fault.py",
    "checks/verdict.py",
    "checks/registry.py",
    "doctor/registry.py",
]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCES}


def package_of(module: str) -> str | None:
    """The package or top-level module of kvsim that a dotted name is in."""
    parts = module.split(".")
    return parts[1] if parts[0] == "kvsim" and len(parts) > 1 else None


def imported(nodes: Iterator[ast.AST], path: Path) -> list[tuple[int, str]]:
    """(line, module) for every import among the nodes.

    `from package import module` names the module, not the package.
    """
    found = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write it absolutely"
            names = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            found += [(node.lineno, name) for name in sorted(names) or [node.module or ""]]
    return found


def all_imports(path: Path) -> list[tuple[int, str]]:
    return imported(ast.walk(parsed(path)), path)


def top_level(tree: ast.Module) -> Iterator[ast.AST]:
    """Statements that run when the module is imported, those under `if TYPE_CHECKING` too."""
    for node in tree.body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from (inner for inner in ast.walk(node) if inner is not node)


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_imports_run_strictly_downwards(path):
    package = path.relative_to(ROOT / "kvsim").parts[0].removesuffix(".py")
    if package == "__init__":
        return
    assert package in LEVELS, f"{path}: {package} has no layer; give it one in this test"
    for line, module in all_imports(path):
        other = package_of(module)
        if other is None or other == package:
            continue
        allowed = LEVELS[other] < LEVELS[package] or (package, other) in SAME_LAYER
        assert allowed, f"{path}:{line}: {package} imports {module}; move what it needs below both"


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """The sets of modules that reach each other (two or more), by what each one reaches."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        ahead = [start]
        while ahead:
            new = graph[ahead.pop()] - found
            found |= new
            ahead += new
        return found

    reach = {name: reached(name) for name in graph}
    groups = {
        frozenset(other for other in reach[name] if name in reach[other])
        for name in graph
        if name in reach[name]
    }
    return [set(group) for group in groups]


def test_no_module_is_in_a_circle_of_imports():
    """Also not in one that `TYPE_CHECKING` hides. Imports inside functions are not counted."""
    graph = {}
    for name, path in MODULES.items():
        found = {module for _, module in imported(top_level(parsed(path)), path)}
        graph[name] = (found & MODULES.keys()) - {name}
    assert not circles(graph), "move what they share into a module below them"


@pytest.mark.parametrize("path", sorted((ROOT / "nodes").rglob("*.py")), ids=relative)
def test_the_nodes_do_not_import_the_tester(path):
    for line, module in all_imports(path):
        assert not module.startswith("kvsim"), f"{path}:{line}: a node imports the tester"


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_the_tester_does_not_import_the_nodes(path):
    for line, module in all_imports(path):
        assert module.split(".")[0] not in {"nodes", "kvstore", "broken"}, (
            f"{path}:{line}: the tester imports a node"
        )


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_every_module_has_a_docstring(path):
    tree = parsed(path)
    assert not tree.body or ast.get_docstring(tree), (
        f"{path}: open it with what it is, where it sits and what it does not do"
    )


def published() -> list[Path]:
    paths = [ROOT / "kvsim" / name for name in PUBLISHED]
    return [
        file for path in paths for file in ([path] if path.suffix else sorted(path.glob("*.py")))
    ]


@pytest.mark.parametrize("path", published(), ids=relative)
def test_what_users_import_or_extend_has_docstrings(path):
    assert path.exists(), f"{path} is not there: name its successor in PUBLISHED"
    for node in parsed(path).body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or node.name.startswith("_"):
            continue
        public = [node]
        if isinstance(node, ast.ClassDef):
            public += [
                method
                for method in node.body
                if isinstance(method, ast.FunctionDef) and not method.name.startswith("_")
            ]
        for part in public:
            assert ast.get_docstring(part), (
                f"{path}:{part.lineno}: {part.name} has no docstring: "
                "say what it does, with shapes, units and the errors it raises"
            )


def test_no_class_name_stands_for_two_ideas():
    places = collections.defaultdict(list)
    for path in SOURCES:
        for node in parsed(path).body:
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{relative(path)}:{node.lineno}")
    twice = {name: where for name, where in places.items() if len(where) > 1}
    assert not twice, f"give each its own name: {twice}"


# Base names that stand in two folders, where the folder makes the difference.
FOLDER_MAKES_THE_DIFFERENCE = {
    "build",
    "cluster",
    "command",
    "leadership",
    "plan",
    "protocol",
    "registry",
    "report",
    "result",
    "summary",
}


def test_no_module_name_stands_in_two_folders():
    folders = collections.defaultdict(set)
    for path in SOURCES:
        folder = relative(path.parent)
        # A command's module is named as the command, and the package below as the subject.
        if not path.stem.startswith("__") and folder != "kvsim/cli":
            folders[path.stem].add(folder)
    twice = {
        name: sorted(where)
        for name, where in folders.items()
        if len(where) > 1 and name not in FOLDER_MAKES_THE_DIFFERENCE
    }
    assert not twice, f"name the subject, or list it where the folder tells it: {twice}"


def test_tests_do_not_sleep():
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and name_of(node.func) == "sleep":
                pytest.fail(
                    f"{path}:{node.lineno}: wait for a condition with a deadline (kvsim.waiting)"
                )


def test_folders_are_walked_by_what_survives_a_change():
    """A folder that vanishes during `Path.glob` raises FileNotFoundError (Python before 3.13)."""
    walks = [f"{relative(path)}:{line}" for path in SOURCES for line in walks_in(parsed(path))]
    assert walks == [], "use kvsim.folders"


def test_a_condition_that_is_waited_for_survives_a_change_of_the_folder():
    for path in sorted((ROOT / "tests").rglob("*.py")):
        functions = {
            node.name: node for node in ast.walk(parsed(path)) if isinstance(node, ast.FunctionDef)
        }
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and name_of(node.func) == "wait_until":
                condition = functions.get(name_of(node.args[0]), node.args[0])
                assert walks_in(condition) == [], f"{path}:{node.lineno}: use kvsim.folders"


def name_of(function: ast.expr) -> str:
    """The last name of a function that is called: `sleep` of `time.sleep`."""
    return getattr(function, "attr", "") or getattr(function, "id", "")


def walks_in(tree: ast.AST) -> list[int]:
    """The lines in which a folder is walked by pathlib or glob."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"glob", "iglob", "rglob"}
    ]


def test_no_default_is_read_from_the_class_of_a_struct():
    """`Limits.seconds` is a default of a dataclass, and a descriptor of a Struct."""
    bases: dict[str, set[str]] = {}
    fields: dict[str, set[str]] = collections.defaultdict(set)
    trees = {path: parsed(path) for path in SOURCES}
    for node in (node for tree in trees.values() for node in ast.walk(tree)):
        if isinstance(node, ast.ClassDef):
            bases[node.name] = {ast.unparse(base).partition("[")[0] for base in node.bases}
            fields[node.name] |= {
                item.target.id
                for item in node.body
                if isinstance(item, ast.AnnAssign)
                and isinstance(item.target, ast.Name)
                and "ClassVar" not in ast.unparse(item.annotation)
            }
    structs = {"Struct"}
    while more := {name for name, of in bases.items() if of & structs} - structs:
        structs |= more
    read = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}"
        for path, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in structs
        and node.attr in fields[node.value.id]
    ]
    assert read == []
