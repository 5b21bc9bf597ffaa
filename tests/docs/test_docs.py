"""README and docs are true: reference pages come from the tables, commands parse, links and targets
exist, YAML can be read."""

from __future__ import annotations

import importlib.util
import re
import shlex
import textwrap
from pathlib import Path

import pytest

from kvsim.cli import SUMMARIES, command_parser
from kvsim.cli.loading import load_cluster_of, load_scenarios
from kvsim.config.lint import lint
from kvsim.history import binary_file, formats

EDN = """\
{:process 0, :type :invoke, :f :write, :value 1, :time 1}
{:process 0, :type :ok, :f :write, :value 1, :time 2}
{:process 1, :type :invoke, :f :read, :value nil, :time 3}
{:process 1, :type :ok, :f :read, :value 1, :time 4}
"""
ROOT = Path(__file__).parents[2]
# Pages that are written by hand, without those that a command prints.
TEXTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OF_THE_PROJECT = [ROOT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "SECURITY")]
PAGES = [*TEXTS, *sorted((ROOT / "docs/reference").glob("*.md")), *OF_THE_PROJECT]
# A link to the glossary stands in the first lines of a page.
BEGINNING_CHARACTERS = 1500
LINE_LENGTH_MAX = 100


def generated() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pages()


def test_the_reference_pages_are_up_to_date(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    for name, text in generated().items():
        path = ROOT / "docs/reference" / name
        assert path.exists() and path.read_text() == text, (
            f"{path} is out of date: run `make docs` and commit it"
        )


def shell_lines(page: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [
        line.split(" #")[0].strip()
        for block in blocks
        for line in block.splitlines()
        if line.strip()
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_on_a_page_parses(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in shell_lines(page):
        for part in re.split(r"&&|\|", line):
            words = shlex.split(part.strip().rstrip("&"), comments=True)
            if words[:3] == ["python", "-m", "kvsim"]:
                words = words[3:]
            elif words[:1] == ["kvsim"]:
                words = words[1:]
            if part.strip().startswith("make") and len(words) > 1 and not words[1].startswith("-"):
                assert words[1] in targets, f"{page}: {line}: no such target"
            elif words and words[0] in SUMMARIES and "kvsim" in part.split()[:3]:
                command_parser(words[0]).parse_args(words[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_has_a_target(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page}: {target} is not there"


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: page.stem)
def test_every_page_links_to_the_glossary_near_its_beginning(page):
    if page.stem != "glossary":
        beginning = page.read_text(encoding="utf-8")[:BEGINNING_CHARACTERS]
        assert "glossary.md)" in beginning


def prose(page: Path) -> list[str]:
    """The lines outside code blocks and tables."""
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [line for line in text.splitlines() if not line.startswith("|")]


@pytest.mark.parametrize("page", [*TEXTS, *OF_THE_PROJECT], ids=lambda page: page.stem)
def test_prose_has_short_lines(page):
    assert [line for line in prose(page) if len(line) > LINE_LENGTH_MAX] == []


def test_the_walk_through_the_modules_names_every_package():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    walk = text.partition("## How a run flows")[2].partition("\n## ")[0]
    named = {name.partition("/")[0] for name in re.findall(r"`([a-z_/.]+)`", walk)}
    entries = [path for path in (ROOT / "kvsim").iterdir() if path.suffix in ("", ".py")]
    packages = {path.stem for path in entries if not path.stem.startswith("__")}
    assert packages - named == set()


def test_the_planted_bug_of_the_page_is_the_shipped_one():
    page = (ROOT / "docs/selftest.md").read_text(encoding="utf-8")
    (block,) = re.findall(r" *```python\n(.*?) *```", page, re.DOTALL)
    shipped = (ROOT / "nodes/broken/bugs/answers_twice.py").read_text(encoding="utf-8")
    assert textwrap.dedent(block) == shipped


def test_the_python_of_the_page_on_consistency_judges_histories(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs/consistency.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("history.edn").write_text(EDN)
    binary_file.save(formats.read("jepsen-edn", Path("history.edn")), Path("history.bin"))
    exec(compile(block, "consistency.md", "exec"), {})
    output = capsys.readouterr().out
    assert "KEPT" in output and output.endswith(" pass\n")


def scenarios_on(page: Path) -> list[str]:
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [block for block in blocks if block.startswith("scenario:")]


# docs/extending.md uses words that it adds; test_extending.py runs its scenarios.
EXAMPLES = [
    (page, text) for page in PAGES if page.stem != "extending" for text in scenarios_on(page)
]


@pytest.mark.parametrize(
    ("page", "text"), EXAMPLES, ids=lambda value: value.stem if isinstance(value, Path) else ""
)
def test_every_scenario_on_a_page_is_without_mistakes(page, text, tmp_path):
    path = tmp_path / "scenario.yaml"
    path.write_text(text.replace("../cluster.yaml", str(ROOT / "cluster.yaml")), encoding="utf-8")
    assert mistakes(path) == []


def mistakes(path: Path) -> list:
    return [
        problem
        for scenario in load_scenarios(path)
        for problem in lint(scenario, load_cluster_of(scenario))
    ]


@pytest.mark.parametrize(
    "path", sorted((ROOT / "scenarios").rglob("*.yaml")), ids=lambda path: path.stem
)
def test_every_shipped_scenario_is_without_mistakes(path):
    assert mistakes(path) == []


def test_make_help_names_the_targets():
    makefile = (ROOT / "Makefile").read_text()
    for target in (
        "proof",
        "test",
        "cluster-up",
        "cluster-down",
        "cluster-status",
        "cluster-logs",
        "build",
        "bench",
    ):
        assert re.search(rf"^{target}:.*##", makefile, re.MULTILINE), target
