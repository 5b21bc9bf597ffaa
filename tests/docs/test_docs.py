"""What README and docs say is true: reference pages come from the tables, commands parse, targets exist, YAML can be read."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from kvsim.cli import COMMANDS, parser_of
from kvsim.config.cluster_file import load_stage
from kvsim.config.lint import lint
from kvsim.config.scenario_file import load_scenarios

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def generated() -> dict[str, str]:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.pages()


def test_the_reference_pages_are_what_the_tables_say(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    for name, text in generated().items():
        path = ROOT / "docs/reference" / name
        assert path.exists() and path.read_text() == text, (
            f"{path} is out of date: run `make docs` and commit it"
        )


def shell_lines(page: Path) -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [line.split(" #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_on_a_page_can_be_given(page):
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for line in shell_lines(page):
        for part in re.split(r"&&|\|", line):
            words = shlex.split(part.strip().rstrip("&"), comments=True)
            words = (
                words[3:]
                if words[:3] == ["python", "-m", "kvsim"]
                else words[1:]
                if words[:1] == ["kvsim"]
                else words
            )
            if part.strip().startswith("make") and len(words) > 1 and not words[1].startswith("-"):
                assert words[1] in targets, f"{page}: {line}: no such target"
            elif words and words[0] in COMMANDS and "kvsim" in part.split()[:3]:
                parser_of(words[0]).parse_args(words[1:])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page}: {target} is not there"


def scenarios_on(page: Path) -> list[str]:
    blocks = re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    return [block for block in blocks if block.startswith("scenario:")]


EXAMPLES = [(page, text) for page in PAGES for text in scenarios_on(page)]


@pytest.mark.parametrize(
    ("page", "text"), EXAMPLES, ids=lambda value: value.stem if isinstance(value, Path) else ""
)
def test_every_scenario_on_a_page_is_without_mistakes(page, text, tmp_path):
    path = tmp_path / "scenario.yaml"
    path.write_text(text.replace("../cluster.yaml", str(ROOT / "cluster.yaml")), encoding="utf-8")
    assert mistakes(path) == []


def mistakes(path: Path) -> list:
    return [one for scenario in load_scenarios(path) for one in lint(scenario, load_stage(scenario))]


@pytest.mark.parametrize("path", sorted((ROOT / "scenarios").rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_scenario_is_without_mistakes(path):
    assert mistakes(path) == []


def test_make_help_names_every_target_a_reader_may_want():
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
