"""The rules of the house, as tests that name the cure."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LAYERS = [  # from the ground up: a module may import from layers below its own, and from its own sub-package
    {"errors", "limits"},
    {"config", "history", "waiting", "rundir"},
    {"process", "logs", "client", "checks"},
    {"launcher", "evidence", "faults", "load", "trials"},
    {"scenario", "report"},
    {"doctor", "selftest", "repeat", "campaign", "grade", "live"},
    {"cli", "pytest_plugin"},
    {"__main__"},
]
LEVELS = {room: level for level, rooms in enumerate(LAYERS) for room in rooms}
# Within layer 1 files meet in one order: what is read from disk is described in terms of what it is about.
WITHIN = {("config", "history"), ("history", "rundir")}
SOURCES = sorted((ROOT / "kvsim").rglob("*.py"))


def imports(path: Path) -> list[tuple[int, str]]:
    """(line, module) for every import in a file, late ones too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write it absolutely"
            found.append((node.lineno, node.module or ""))
    return found


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "kvsim" and len(parts) > 1 else None


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_strictly_downwards(path):
    room = path.relative_to(ROOT / "kvsim").parts[0].removesuffix(".py")
    if room == "__init__":
        return
    assert room in LEVELS, f"{path}: {room} has no layer; give it one in tests/test_house.py"
    for line, module in imports(path):
        other = room_of(module)
        if other is None or other == room:
            continue
        allowed = LEVELS[other] < LEVELS[room] or (room, other) in WITHIN
        assert allowed, f"{path}:{line}: {room} imports {module}; move what it needs to a layer below both"


@pytest.mark.parametrize(
    "tested", sorted((ROOT / "nodes").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_the_tested_do_not_know_the_tester(tested):
    for line, module in imports(tested):
        assert not module.startswith("kvsim"), f"{tested}:{line}: a node imports the tester"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_tester_does_not_know_the_tested(path):
    for line, module in imports(path):
        assert module.split(".")[0] not in {"nodes", "kvstore", "broken"}, (
            f"{path}:{line}: the tester imports a node"
        )


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    empty = not tree.body
    assert empty or ast.get_docstring(tree), (
        f"{path}: open it with what it is, where it sits and what it will not do"
    )


def test_there_is_no_circle_of_imports():
    graph = {room: set() for room in LEVELS}
    for path in SOURCES:
        room = path.relative_to(ROOT / "kvsim").parts[0].removesuffix(".py")
        if room in graph:
            graph[room] |= {
                other for _, module in imports(path) if (other := room_of(module)) in graph and other != room
            }
    order: list[str] = []
    while free := [room for room in graph if room not in order and graph[room] <= set(order)]:
        order += free
    assert set(order) == set(graph), f"a circle among {sorted(set(graph) - set(order))}"


def test_tests_do_not_sleep():
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {
                "time.sleep",
                "sleep",
                "asyncio.sleep",
            }:
                pytest.fail(
                    f"{path}:{node.lineno}: wait for a condition with a deadline (kvsim.waiting) instead"
                )
